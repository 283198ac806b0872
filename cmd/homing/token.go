package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/server/web"
)

const tokensPath = "/api/v1/tokens"

func newToken() *cobra.Command {
	return group("token", "The tokens by which programs use the HTTP API", newTokenList(), newTokenAdd(), newTokenRotate(), newTokenRemove())
}

func newTokenList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the tokens, without what nobody can read again", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return show(c, tokensPath, nil, *asJSON, printTokens)
	}
	return c
}

func printTokens(w io.Writer, list web.TokenList) error {
	if len(list.Tokens) == 0 {
		_, err := fmt.Fprintln(w, "There are no tokens: `homing token add` makes one.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tWHOSE\tMADE\tBY\tEXPIRES\tLAST USED")
	for _, k := range list.Tokens {
		expires := "never"
		if k.Expires != nil {
			expires = clock(*k.Expires)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Name, owner(k), clock(k.Created), terminal.Clip(k.By, 40), expires, cmp.Or(k.Used, "never"))
	}
	return t.Flush()
}

func owner(k web.Token) string {
	if k.Operator {
		return "an operator"
	}
	return "application " + k.Application
}

func newTokenAdd() *cobra.Command {
	in := web.AddToken{By: whoami()}
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token",
		Long: "Make a token, of an application or of an operator. It counts at once.\n" +
			"An application's may send as that application, and sees only what is its own. An operator's may do everything.\n" +
			"The token is printed on standard output, this once: the server keeps only a hash of it.",
		Example: "  homing token add shop --application shop\n  homing token add monitoring --operator --expires 365d",
		Args:    cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&in.Application, "application", "", "the `APPLICATION` that it belongs to")
	f.BoolVar(&in.Operator, "operator", false, "it is an operator's: it may do everything")
	expires := periodFlag(c, "expires", "after how long it counts no more, such as 90d (default: never)")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if in.Operator == (in.Application != "") {
			return usage(c, errors.New("say whose it is with --application or --operator, and only one of them"))
		}
		in.Name, in.Expires = args[0], expires.String()
		return makeToken(c, tokensPath, in, *asJSON)
	}
	return c
}

func newTokenRotate() *cobra.Command {
	c := &cobra.Command{
		Use:     "rotate NAME",
		Short:   "Make another token in the place of one",
		Long:    "Make another token in the place of one, which counts no more, or with --overlap for a while.",
		Example: "  homing token rotate shop --overlap 1h",
		Args:    cobra.ExactArgs(1),
	}
	overlap := periodFlag(c, "overlap", "how long the old one goes on to count, such as 1h (default: not at all)")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return makeToken(c, tokensPath+"/"+url.PathEscape(args[0])+"/rotate", web.RotateToken{Overlap: overlap.String()}, *asJSON)
	}
	return c
}

// makeToken asks for a token and prints it: alone on standard output, so that
// it can be piped where it belongs, with what it is on standard error.
func makeToken(c *cobra.Command, path string, in any, asJSON bool) error {
	server, err := dialControl(c)
	if err != nil {
		return err
	}
	var k web.Token
	if err := server.call(c.Context(), http.MethodPost, path, nil, in, &k); err != nil {
		return err
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), k)
	}
	words := fmt.Sprintf("The token %s belongs to %s", k.Name, owner(k))
	if k.Expires != nil {
		words += ", and counts until " + clock(*k.Expires)
	}
	words += ".\n"
	if k.Overlap != nil {
		words += fmt.Sprintf("The one before counts until %s.\n", clock(*k.Overlap))
	}
	fmt.Fprint(c.ErrOrStderr(), words, "It is shown this once:\n")
	_, err = fmt.Fprintln(c.OutOrStdout(), k.Secret)
	return err
}

func newTokenRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "End a token at once",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := dialControl(c)
			if err != nil {
				return err
			}
			if err := server.call(c.Context(), http.MethodDelete, tokensPath+"/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "The token %s counts no more.\n", terminal.Line(args[0]))
			return err
		},
	}
}
