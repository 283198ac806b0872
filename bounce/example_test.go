package bounce_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"homing/bounce"
)

func ExampleReader() {
	reader := bounce.NewReader(bounce.NewTable())
	report, err := reader.Read(strings.NewReader(`From: Mail Delivery System <MAILER-DAEMON@mx.example.org>
To: <return+tag@bounce.example.org>
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; ann@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550 5.1.1 user unknown

--b--
`))
	if err != nil {
		fmt.Println(err)
	}
	line, err := json.Marshal(report.JSON("x.eml"))
	fmt.Println(string(line), err)
	// Output: {"file":"x.eml","kind":"bounce","format":"rfc3464","recipients":[{"address":"ann@example.net","original":"","action":"failed","status":"5.1.1","code":550,"diagnostic":"550 5.1.1 user unknown","remote_mta":"mx.example.net","class":"hard","reason":"user_unknown","civicrm":"Invalid","rule":"status-5.1.1","matched":"5.1.1"}]} <nil>
}
