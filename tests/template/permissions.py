"""What each function may do, by resource: the template grants exactly this, and the code uses all of it."""

from __future__ import annotations

# What Lambda itself does with a function's role to read its queue.
CONSUME = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
# What a period and its invoices are written with, and what is carried from one into another.
WRITE_PERIODS = {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"}

# What a run does, in the scheduled function or in a worker.
SEND_USAGE = {
    "StripeSecret": {"secretsmanager:GetSecretValue"},
    "SubscriptionsTable": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem"},
    "UsageTable": {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "dynamodb:PartiQLUpdate",
    },
    "UsageTable/index/due": {"dynamodb:Query"},
    "PeriodsTable": WRITE_PERIODS,
    "PeriodsTable/index/drafts": {"dynamodb:Query"},
}
# What Lambda itself does with a function's role to read a table's stream.
READ_STREAM = {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}
BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/EventBusName"

GRANTED: dict[str, dict[str, set[str]]] = {
    "StripeWebhookFunction": {
        "StripeSecret": {"secretsmanager:GetSecretValue"},
        "SubscriptionsTable": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem"},
        "SubscriptionsTable/index/by_customer": {"dynamodb:Query"},
        "CustomersTable": {"dynamodb:GetItem", "dynamodb:PutItem"},
        "StripeEventsTable": {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem"},
        "UsageTable": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"},
        "PeriodsTable": WRITE_PERIODS,
        "ReconciliationQueue": {"sqs:SendMessage"},
        "UsageMeteringFunction": {"lambda:InvokeFunction"},
    },
    "UsageIngestionFunction": {
        "UsageEventsTable": {"dynamodb:PutItem"},
        "UsageTable": {"dynamodb:UpdateItem"},
        "UsageQueue": CONSUME,
        "UsageDeadLetterQueue": {"sqs:SendMessage"},
    },
    "UsageMeteringFunction": {
        **SEND_USAGE,
        "UsageMeteringQueue": {"sqs:SendMessage"},
        "AsyncFailureDeadLetterQueue": {"sqs:SendMessage"},
    },
    "UsageMeteringWorkerFunction": {
        **SEND_USAGE,
        "UsageMeteringQueue": {"sqs:SendMessage", *CONSUME},
    },
    "UsageReconciliationFunction": {
        "StripeSecret": {"secretsmanager:GetSecretValue"},
        "SubscriptionsTable": {"dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"},
        "SubscriptionsTable/index/by_customer": {"dynamodb:Query"},
        "CustomersTable": {"dynamodb:GetItem", "dynamodb:PutItem"},
        "UsageTable": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"},
        "PeriodsTable": WRITE_PERIODS,
        "ReconciliationQueue": {"sqs:SendMessage", *CONSUME},
        "AsyncFailureDeadLetterQueue": {"sqs:SendMessage"},
    },
    "BillingEventsFunction": {
        "SubscriptionsTable/stream/*": READ_STREAM,
        "PeriodsTable/stream/*": READ_STREAM,
        "UsageTable/stream/*": READ_STREAM,
        BUS: {"events:PutEvents"},
        "SubscriptionsTable": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "SubscriptionsTable/index/access_ends": {"dynamodb:Query"},
        "BillingEventsDeadLetterQueue": {"sqs:SendMessage"},
        "AsyncFailureDeadLetterQueue": {"sqs:SendMessage"},
    },
    "BillingApiFunction": {
        "StripeSecret": {"secretsmanager:GetSecretValue"},
        "SubscriptionsTable": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "SubscriptionsTable/index/by_customer": {"dynamodb:Query"},
        "CustomersTable": {"dynamodb:GetItem", "dynamodb:PutItem"},
        "UsageTable": {"dynamodb:Query"},
        "PeriodsTable": {"dynamodb:Query"},
        "UsageMeteringFunction": {"lambda:InvokeFunction"},
    },
}
