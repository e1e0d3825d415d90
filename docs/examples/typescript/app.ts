// A release as an app in TypeScript; Node runs it as it is, without a compiler:
//
//   npm install
//   npx cdk deploy --context version=1.4.2 --context digest=sha256:…

import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { PublicImage } from './public-image.ts';

interface Release {
  readonly repository: string;
  /** `major.minor.patch`; tags the image together with `major.minor` and `latest`. */
  readonly version: string;
  /** Of an image that a build has pushed to the repository. */
  readonly digest: string;
}

class AgentRelease extends Stack {
  constructor(scope: Construct, id: string, release: Release) {
    super(scope, id);
    const minor = release.version.slice(0, release.version.lastIndexOf('.'));

    const image = new PublicImage(this, 'Release', {
      RepositoryName: release.repository,
      ImageTags: [release.version, minor, 'latest'],
      Source: { Digest: release.digest },
    });

    new CfnOutput(this, 'Image', { value: image.imageUri });
  }
}

const app = new App();
new AgentRelease(app, 'AgentRelease', {
  repository: app.node.getContext('repository'),
  version: app.node.getContext('version'),
  digest: app.node.getContext('digest'),
});
app.synth();
