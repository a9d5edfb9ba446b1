package logtest

import "testing"

func TestHardNamesAreDifferent(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range hardNames() {
		if seen[name] {
			t.Errorf("hardNames has %q twice", name)
		}
		seen[name] = true
	}
}
