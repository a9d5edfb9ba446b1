// Package deps holds no code. Its tests keep the promises that the shape of the repository makes: which modules it
// depends on, which package may import which, and the habits that a compiler does not check.
//
// Each rule that needs exceptions has a short list of them beside it, with the reason; an exception that no longer
// excuses anything fails the test.
package deps
