// `Custom::ECRPublicImage` with types: copy this file into an app, next to the stacks that use it.

import { CustomResource, Duration, Fn } from 'aws-cdk-lib';
import { Construct } from 'constructs';

/** Exactly one of the kinds of sources. */
export type Source =
  | { readonly Digest: string }
  | { readonly Tag: string }
  | { readonly Manifest: Manifest }
  | { readonly Image: { readonly Reference: string; readonly CredentialsSecretArn?: string } }
  | { readonly Archive: { readonly Bucket: string; readonly Key: string; readonly Reference?: string } }
  | { readonly Index: Index };

export type Manifest =
  | { readonly Body: string; readonly MediaType?: string }
  | { readonly Bucket: string; readonly Key: string; readonly MediaType?: string };

export interface Index {
  readonly Manifests: ReadonlyArray<{
    readonly Source: Source;
    readonly Platform?: string;
    readonly Annotations?: Readonly<Record<string, string>>;
  }>;
  readonly MediaType?: string;
  readonly Annotations?: Readonly<Record<string, string>>;
}

/** The properties, by the names that the reference explains. */
export interface PublicImageProperties {
  readonly RegistryId?: string;
  readonly RepositoryName: string;
  readonly ImageTags?: readonly string[];
  readonly ImageDigest?: string;
  readonly Source: Source;
  readonly Platforms?: readonly string[];
  readonly RequiredPlatforms?: readonly string[];
  readonly ImmutableTags?: readonly string[];
  readonly IncludeReferrers?: boolean;
  readonly OnTagRemoved?: 'Keep' | 'Untag';
  readonly OnDelete?: 'Keep' | 'Delete';
  readonly StateParameterName?: string;
  readonly Refresh?: string;
}

function copies(source: Source): boolean {
  if ('Index' in source) return source.Index.Manifests.some((each) => copies(each.Source));
  return 'Image' in source || 'Archive' in source;
}

/** An image that must be in a repository of Amazon ECR Public, under these tags. */
export class PublicImage extends Construct {
  /** The address that always is this image: `public.ecr.aws/<alias>/<name>@sha256:…`. */
  readonly imageUri: string;
  readonly imageDigest: string;

  constructor(scope: Construct, id: string, properties: PublicImageProperties) {
    super(scope, id);
    const resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::ECRPublicImage',
      serviceToken: Fn.importValue('ECRPublicImageHandlerArn'),
      // Where layers are copied, the function may work for 15 minutes.
      serviceTimeout: Duration.seconds(copies(properties.Source) ? 960 : 300),
      properties: { ...properties },
    });
    this.imageUri = resource.getAttString('ImageUri');
    this.imageDigest = resource.getAttString('ImageDigest');
  }
}
