// Package foreign holds tests in which clients from npm that know nothing of this
// project watch and use rooms: each script beside it drives one of them.
package foreign
