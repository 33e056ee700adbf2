//! Two replicators and eight writers on twenty tenants, on Postgres and LocalStack.
