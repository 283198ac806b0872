package bounce

// A Classified is a Report as `homing classify --json` prints it and as the
// HTTP API answers: these keys in this order.
type Classified struct {
	File       string                `json:"file"`
	Kind       Kind                  `json:"kind"`
	Format     string                `json:"format"`
	Recipients []ClassifiedRecipient `json:"recipients"` // never null
	Unparsed   bool                  `json:"unparsed,omitempty"`
}

// A ClassifiedRecipient is a Recipient with its Verdict.
type ClassifiedRecipient struct {
	Address    string `json:"address"`
	Original   string `json:"original"`
	Action     string `json:"action"`
	Status     string `json:"status"`
	Code       int    `json:"code"`
	Diagnostic string `json:"diagnostic"`
	RemoteMTA  string `json:"remote_mta"`
	Class      Class  `json:"class"`
	Reason     Reason `json:"reason"`
	CiviCRM    string `json:"civicrm"`
	Rule       string `json:"rule"`
	Matched    string `json:"matched"`
}

// JSON gives the Report in the form that is shown; file says where it came
// from.
func (r Report) JSON(file string) Classified {
	c := Classified{File: file, Kind: r.Kind, Format: r.Format, Unparsed: r.Unparsed, Recipients: make([]ClassifiedRecipient, len(r.Recipients))}
	for i, x := range r.Recipients {
		c.Recipients[i] = ClassifiedRecipient{
			Address: x.Address, Original: x.Original, Action: x.Action, Status: x.Status, Code: x.Code, Diagnostic: x.Diagnostic, RemoteMTA: x.RemoteMTA,
			Class: x.Verdict.Class, Reason: x.Verdict.Reason, CiviCRM: x.Verdict.CiviCRM, Rule: x.Verdict.Rule, Matched: x.Verdict.Matched,
		}
	}
	return c
}
