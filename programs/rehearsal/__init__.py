"""A deployment without an account: the stack on emulators, from its creation to what is left after its deletion.

emulator     CloudFormation and what it makes (moto), DynamoDB Local for the tables, the Stripe simulator
resources    what moto's CloudFormation is taught: tables in DynamoDB Local, secrets, stand-ins for what it lacks
package      a template and the code that it names, as `sam package` and CloudFormation's SAM transform make them
deployment   a stack that is created, updated and deleted, and its functions, each in a process of its own
worker       that process: the code that was deployed, with the variables that the stack gave it
life         an organisation's life with a deployed stack: checkout, webhooks, usage, runs, what Stripe counts
steps        what is done and seen, line by line
rehearsal    the steps of a deployment; upgrade: those of one version after another
"""
