package replay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Env is the environment variable that names a recording, or a directory of
// recordings, for [Find].
const Env = "IM_REPLAY"

// Find returns the paths of the recordings that there are on this machine,
// sorted: those that the environment variable IM_REPLAY names (a file or a
// directory), else those in the directory shared/data beside the module. With
// none it returns nil, and the caller falls back on [Generate]; a variable that
// names nothing is an error.
func Find() ([]string, error) {
	if name := os.Getenv(Env); name != "" {
		found, err := recordings(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", Env, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no .jsonl or .xml file in %s", Env, name)
		}
		return found, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return findAbove(dir)
}

// findAbove looks beside every module that holds dir: a nested module counts as
// part of the one around it.
func findAbove(dir string) ([]string, error) {
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			found, err := recordings(filepath.Join(dir, "..", "shared", "data"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if len(found) > 0 {
				return found, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, nil
		}
		dir = parent
	}
}

// recordings returns name if it is a file, else the recordings in it.
func recordings(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		ext := strings.ToLower(filepath.Ext(e.Name()))
		if !e.IsDir() && (ext == ".jsonl" || ext == ".xml") {
			found = append(found, filepath.Join(name, e.Name()))
		}
	}
	slices.Sort(found)
	return found, nil
}
