// The roll-up in an application of the AWS CDK: template.json as a nested stack, beside tables of the application.
//
//     npm ci
//     npx aws-cdk deploy --app 'node app.js' --context zip=ddb-rollup-arm64.zip

import { fileURLToPath } from "node:url";

import { App, CfnOutput, NestedStack, Stack } from "aws-cdk-lib";
import { AttributeType, BillingMode, StreamViewType, Table } from "aws-cdk-lib/aws-dynamodb";
import { Asset } from "aws-cdk-lib/aws-s3-assets";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";

const TEMPLATE = fileURLToPath(new URL("../../template.json", import.meta.url));

/** template.json with parameters. In a nested stack they can be attributes of other resources, which its conditions compare. */
class Rollup extends NestedStack {
  constructor(scope, id, parameters) {
    super(scope, id, { parameters });
    this.template = new CfnInclude(this, "Template", { templateFile: TEMPLATE });
  }

  get failureQueueUrl() {
    return this.template.getResource("FailureQueue").ref;
  }
}

class Shop extends Stack {
  constructor(scope, id) {
    super(scope, id);
    const orders = new Table(this, "Orders", {
      partitionKey: { name: "MapId", type: AttributeType.STRING },
      sortKey: { name: "PointId", type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      stream: StreamViewType.NEW_AND_OLD_IMAGES,
    });
    // The asset's key has a digest of the zip: another zip is another key, and an update of the function.
    const code = new Asset(this, "RollupCode", { path: this.node.tryGetContext("zip") ?? "ddb-rollup-arm64.zip" });

    const rollup = new Rollup(this, "Rollup", {
      CodeS3Bucket: code.s3BucketName,
      CodeS3Key: code.s3ObjectKey,
      ExistingSourceStreamArn: orders.tableStreamArn,
      ViewTableName: "ShopMap",
      IdempotencyTableName: "ShopIdempotency",
      MaximumBatchingWindowInSeconds: "5",
    });
    new CfnOutput(this, "FailureQueueUrl", { value: rollup.failureQueueUrl });
  }
}

const app = new App();
new Shop(app, "Shop");
app.synth();
