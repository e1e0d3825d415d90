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

/** Moving tags that must not go to a lower version. */
export interface ForwardOnly {
  readonly Tags: readonly string[];
  readonly OnOlder?: 'Skip' | 'Refuse';
  readonly OnUnknown?: 'Refuse' | 'Proceed';
  readonly Prefix?: string;
  readonly Suffix?: string;
}

export interface ScanFindings {
  readonly MaxSeverity: 'NONE' | 'INFORMATIONAL' | 'LOW' | 'MEDIUM' | 'HIGH' | 'CRITICAL';
  readonly OnlyFixable?: boolean;
  readonly AllowUnrated?: boolean;
  readonly Ignore?: ReadonlyArray<{ readonly Name: string; readonly Reason: string; readonly Until: string }>;
  readonly MaxAgeSeconds?: number;
  readonly AllowStates?: readonly (
    | 'FAILED'
    | 'FINDINGS_UNAVAILABLE'
    | 'IMAGE_ARCHIVED'
    | 'LIMIT_EXCEEDED'
    | 'SCAN_ELIGIBILITY_EXPIRED'
    | 'SCAN_NOT_FOUND'
    | 'UNSUPPORTED_IMAGE'
  )[];
}

export type RequiredSignature =
  | { readonly KmsKeyArn: string; readonly Repository?: string }
  | { readonly SigningProfileArn: string };

export type RequiredSignatures = { readonly EachPlatform?: boolean } & (
  | { readonly AllOf: readonly RequiredSignature[] }
  | { readonly AnyOf: readonly RequiredSignature[] }
);

export type SignWith = { readonly Children?: boolean } & (
  | { readonly KmsKeyArn: string; readonly As?: 'Referrer' | 'Tag' }
  | { readonly SigningProfileArn: string }
);

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
  readonly ForwardOnly?: ForwardOnly;
  readonly RequiredReferrers?: { readonly Types: readonly string[]; readonly EachPlatform?: boolean };
  readonly ScanFindings?: ScanFindings;
  readonly RequiredSignatures?: RequiredSignatures;
  readonly WarnOnly?: readonly (
    | 'RequiredPlatforms'
    | 'ImmutableTags'
    | 'ForwardOnly'
    | 'RequiredReferrers'
    | 'ScanFindings'
    | 'RequiredSignatures'
  )[];
  readonly SignWith?: SignWith;
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
