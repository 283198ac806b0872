package dnstest

import (
	"context"
	"fmt"

	"homing/internal/dnsx"
)

// Alias is dnsx.Client.Alias.
func (z *Zone) Alias(ctx context.Context, name string) (string, error) {
	name, err := dnsx.Canonical(name)
	if err != nil {
		return "", err
	}
	if err := z.wait(ctx, name); err != nil {
		return "", fmt.Errorf("%w: %s: %w", dnsx.ErrTemporary, name, err)
	}
	found, err := answer(z, name, []string{z.CNAMEs[name]}, nil)
	switch {
	case err != nil:
		return "", err
	case found[0] != "":
		return found[0], nil
	}
	_, err = answer[string](z, name, nil, nil)
	return "", err
}
