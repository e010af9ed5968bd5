"""The three DynamoDB tables, one module each. Keys, attributes and indexes are those of template.yaml."""
