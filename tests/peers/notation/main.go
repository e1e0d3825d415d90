// Sign and verify images with the library of the Notary Project, as its command line does.
//
//	notation sign   REFERENCE KEY.pem CHAIN.pem
//	notation verify REFERENCE ROOT.pem STORE
//
// STORE is "ca", or "signingAuthority" for signatures of a service such as AWS Signer.
// The registry is on this machine; the environment variable LOGIN is USER:PASSWORD.
package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

const attempts = 100

// store is a trust store with one certificate authority.
type store struct{ roots []*x509.Certificate }

func (s store) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return s.roots, nil
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) != 4 {
		return errors.New("usage: notation sign REFERENCE KEY CHAIN | notation verify REFERENCE ROOT STORE")
	}
	repository, err := open(arguments[1])
	if err != nil {
		return err
	}
	if arguments[0] == "sign" {
		return sign(ctx, repository, arguments[1], arguments[2], arguments[3])
	}
	return verify(ctx, repository, arguments[1], arguments[2], arguments[3])
}

func open(reference string) (registry.Repository, error) {
	repository, err := remote.NewRepository(reference)
	if err != nil {
		return nil, err
	}
	user, password, _ := strings.Cut(os.Getenv("LOGIN"), ":")
	repository.PlainHTTP = true
	repository.Client = &auth.Client{
		Credential: auth.StaticCredential(repository.Reference.Registry, auth.Credential{Username: user, Password: password}),
	}
	return registry.NewRepository(repository), nil
}

func sign(ctx context.Context, repository registry.Repository, reference, key, chain string) error {
	signs, err := signer.NewGenericSignerFromFiles(key, chain)
	if err != nil {
		return err
	}
	_, err = notation.Sign(ctx, signs, repository, notation.SignOptions{
		SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: jws.MediaTypeEnvelope},
		ArtifactReference: reference,
	})
	return err
}

func verify(ctx context.Context, repository registry.Repository, reference, root, kind string) error {
	roots, err := certificates(root)
	if err != nil {
		return err
	}
	policy := &trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{{
		Name:                  "all",
		RegistryScopes:        []string{"*"},
		SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: trustpolicy.LevelStrict.Name},
		TrustStores:           []string{kind + ":sandbox"},
		TrustedIdentities:     []string{"*"},
	}}}
	verifies, err := verifier.New(policy, store{roots}, nil)
	if err != nil {
		return err
	}
	image, _, err := notation.Verify(ctx, verifies, repository, notation.VerifyOptions{
		ArtifactReference:    reference,
		MaxSignatureAttempts: attempts,
	})
	if err == nil {
		fmt.Println(image.Digest)
	}
	return err
}

func certificates(path string) ([]*x509.Certificate, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s is not a certificate", path)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	return []*x509.Certificate{certificate}, err
}
