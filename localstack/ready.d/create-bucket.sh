#!/bin/sh
# Run by the LocalStack container when it is ready: makes the bucket that the
# examples use. Tests make buckets of their own.
set -eu

export AWS_DEFAULT_REGION=us-east-1
if ! awslocal s3api head-bucket --bucket driftline >/dev/null 2>&1; then
  awslocal s3api create-bucket --bucket driftline
fi
awslocal s3api put-bucket-versioning --bucket driftline \
  --versioning-configuration Status=Enabled
