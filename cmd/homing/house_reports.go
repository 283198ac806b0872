package main

import (
	"cmp"
	"context"

	"homing/config"
	"homing/delivery/tlsrpt"
)

// reporter is who reports about TLS. Where no domain of ours signs its mail,
// nothing goes by mail: receivers ignore a report without a signature (RFC 8460
// section 3). The zero Author, where the configuration wants no reports.
func reporter(cfg *config.Config) tlsrpt.Author {
	if !cfg.Delivery.TLSReports {
		return tlsrpt.Author{}
	}
	from := authorOf(cfg)
	return tlsrpt.Author{Organization: cfg.Hostname, Contact: cmp.Or(cfg.Postmaster, from, "postmaster@"+cfg.Hostname), Submitter: cfg.Hostname, From: from}
}

// reportTLS mails a report about TLS.
func (h *house) reportTLS(ctx context.Context, m tlsrpt.Mail) error {
	return h.mailOwn(ctx, ownMail{Key: m.Key, From: m.From, To: []string{m.To}, Head: m.Head, Body: m.Body, TLSOptional: true})
}
