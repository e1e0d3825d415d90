// A release as an app in TypeScript; Node runs it as it is, without a compiler:
//
//   npm install
//   npx cdk deploy --context version=1.4.2 --context digest=sha256:…

import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { PublicImage } from './public-image.ts';

interface Release {
  readonly repository: string;
  /** A semantic version; see `releaseTags`. */
  readonly version: string;
  /** Of an image that a build has pushed to the repository. */
  readonly digest: string;
}

/** `1.4.2`, `1.4`, `1` and `latest`; a release candidate such as `1.5.0-rc.1` gets only its own tag. */
function releaseTags(version: string): string[] {
  const parts = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[\w.-]+)?$/.exec(version);
  if (!parts) throw new Error(`${version} is not a semantic version; expected e.g. 1.4.2 or 1.5.0-rc.1`);
  const [, major, minor, , prerelease] = parts;
  if (prerelease) return [version];
  // In 0.x, a minor version may be incompatible with the one before, so a tag 0 would be of no use.
  return [version, `${major}.${minor}`, ...(major === '0' ? [] : [major]), 'latest'];
}

class AgentRelease extends Stack {
  constructor(scope: Construct, id: string, release: Release) {
    super(scope, id);
    const image = new PublicImage(this, 'Release', {
      RepositoryName: release.repository,
      ImageTags: releaseTags(release.version),
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
