package dnscheck

// The names of the checks: what Finding.Check says. docs/CHECKS.md has a
// chapter on each.
const (
	CheckResolver       = "resolver"        // of the resolver itself
	CheckDNSSEC         = "dnssec"          // of the resolver itself
	CheckServers        = "nameservers"     // of a domain of ours
	CheckHELO           = "helo"            // of Hostname
	CheckTLSA           = "tlsa"            // of Hostname
	CheckPTR            = "ptr"             // of an address
	CheckPTRName        = "ptr_name"        // of an address
	CheckPTRHELO        = "ptr_helo"        // of an address
	CheckMX             = "mx"              // of a domain that mail comes in for
	CheckMXHost         = "mx_host"         // of a domain that mail comes in for
	CheckSPF            = "spf"             // of an envelope domain, or Hostname
	CheckSPFRecord      = "spf_record"      // of an envelope domain, or Hostname
	CheckSPFLookups     = "spf_lookups"     // of an envelope domain, or Hostname
	CheckSPFVoid        = "spf_void"        // of an envelope domain, or Hostname
	CheckDKIM           = "dkim"            // of a domain that mail is sent as
	CheckDKIMKey        = "dkim_key"        // of the name of a key
	CheckDKIMLength     = "dkim_length"     // of the name of a key
	CheckDKIMFlags      = "dkim_flags"      // of the name of a key
	CheckDMARC          = "dmarc"           // of a domain that mail is sent as
	CheckDMARCPolicy    = "dmarc_policy"    // of a domain that mail is sent as
	CheckDMARCReports   = "dmarc_reports"   // of a domain that mail is sent as
	CheckDMARCAlignment = "dmarc_alignment" // of a domain that mail is sent as
	CheckSTS            = "mta_sts"         // of a domain that mail comes in for
	CheckSTSPolicy      = "mta_sts_policy"  // of a domain that mail comes in for
	CheckTLSRPT         = "tls_rpt"         // of a domain that mail comes in for
)

// Names are all checks of Run, in the order in which docs/CHECKS.md explains
// them.
var Names = []string{
	CheckResolver, CheckDNSSEC, CheckServers, CheckHELO, CheckTLSA, CheckPTR, CheckPTRName, CheckPTRHELO, CheckMX, CheckMXHost,
	CheckSPF, CheckSPFRecord, CheckSPFLookups, CheckSPFVoid, CheckDKIM, CheckDKIMKey, CheckDKIMLength, CheckDKIMFlags,
	CheckDMARC, CheckDMARCPolicy, CheckDMARCReports, CheckDMARCAlignment, CheckSTS, CheckSTSPolicy, CheckTLSRPT,
}
