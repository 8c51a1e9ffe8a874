package dots_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// codes are all codes with their number as it stands on the wire, their dotted form and their class.
// RFC 7252, Section 3: the class is in the upper three bits of the byte, the detail in the lower five.
// RFC 7252, Section 12.1.2: the registered ones.
func codes() map[string]code {
	return map[string]code{
		"CodeSilent":             {dots.CodeSilent, 0x00, "0.00", 0},
		"CodeCreated":            {dots.CodeCreated, 0x41, "2.01", 2},
		"CodeDeleted":            {dots.CodeDeleted, 0x42, "2.02", 2},
		"CodeValid":              {dots.CodeValid, 0x43, "2.03", 2},
		"CodeChanged":            {dots.CodeChanged, 0x44, "2.04", 2},
		"CodeContent":            {dots.CodeContent, 0x45, "2.05", 2},
		"CodeAlternateServer":    {dots.CodeAlternateServer, 0x60, "3.00", 3},
		"CodeBadRequest":         {dots.CodeBadRequest, 0x80, "4.00", 4},
		"CodeUnauthorized":       {dots.CodeUnauthorized, 0x81, "4.01", 4},
		"CodeBadOption":          {dots.CodeBadOption, 0x82, "4.02", 4},
		"CodeForbidden":          {dots.CodeForbidden, 0x83, "4.03", 4},
		"CodeNotFound":           {dots.CodeNotFound, 0x84, "4.04", 4},
		"CodeMethodNotAllowed":   {dots.CodeMethodNotAllowed, 0x85, "4.05", 4},
		"CodeNotAcceptable":      {dots.CodeNotAcceptable, 0x86, "4.06", 4},
		"CodeIncomplete":         {dots.CodeIncomplete, 0x88, "4.08", 4},
		"CodeConflict":           {dots.CodeConflict, 0x89, "4.09", 4},
		"CodePreconditionFailed": {dots.CodePreconditionFailed, 0x8c, "4.12", 4},
		"CodeTooLarge":           {dots.CodeTooLarge, 0x8d, "4.13", 4},
		"CodeUnsupportedFormat":  {dots.CodeUnsupportedFormat, 0x8f, "4.15", 4},
		"CodeUnprocessable":      {dots.CodeUnprocessable, 0x96, "4.22", 4},
		"CodeInternal":           {dots.CodeInternal, 0xa0, "5.00", 5},
		"CodeNotImplemented":     {dots.CodeNotImplemented, 0xa1, "5.01", 5},
		"CodeUnavailable":        {dots.CodeUnavailable, 0xa3, "5.03", 5},
		"CodeLoop":               {dots.CodeLoop, 0xa8, "5.08", 5}, // RFC 8768, Section 3
	}
}

type code struct {
	code   dots.Code
	number uint8
	text   string
	class  int
}

func TestCodes(t *testing.T) {
	for name, want := range codes() {
		t.Run(name, func(t *testing.T) {
			if got := uint8(want.code); got != want.number {
				t.Errorf("number %#02x, want %#02x", got, want.number)
			}
			if got := want.code.String(); got != want.text {
				t.Errorf("String is %q, want %q", got, want.text)
			}
			if got := want.code.Class(); got != want.class {
				t.Errorf("Class is %d, want %d", got, want.class)
			}
			if got := want.code.Success(); got != (want.class == 2) {
				t.Errorf("Success is %v in class %d", got, want.class)
			}
		})
	}
}

// TestEveryCodeIsListed keeps the table above complete.
func TestEveryCodeIsListed(t *testing.T) {
	want := map[string]bool{}
	for name := range codes() {
		want[name] = true
	}
	if diff := cmp.Diff(want, constants(t, "code.go", "Code")); diff != "" {
		t.Errorf("(-table +code.go)\n%s", diff)
	}
}

// TestCodesOutsideTheList shows that a code that a peer made up is told as it is.
func TestCodesOutsideTheList(t *testing.T) {
	for number, want := range map[dots.Code]string{0x01: "0.01", 0x5f: "2.31", 0x9d: "4.29", 0xff: "7.31"} {
		if got := number.String(); got != want {
			t.Errorf("%#02x: got %q, want %q", uint8(number), got, want)
		}
	}
	if dots.Code(0x3f).Success() || !dots.Code(0x40).Success() || !dots.Code(0x5f).Success() || dots.Code(0x60).Success() {
		t.Error("success is not exactly 2.00 to 2.31")
	}
}

// constants returns the exported constants of a file of this package whose names begin with prefix.
func constants(t *testing.T, file, prefix string) map[string]bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			return true
		}
		for _, s := range decl.Specs {
			for _, id := range s.(*ast.ValueSpec).Names {
				if id.IsExported() && len(id.Name) >= len(prefix) && id.Name[:len(prefix)] == prefix {
					names[id.Name] = true
				}
			}
		}
		return true
	})
	if len(names) == 0 {
		t.Fatalf("%s has no constants %s...: it was not read", file, prefix)
	}
	return names
}
