// Package danmaku decides which comments a room shows when more are sent than
// anybody can read, and which of them are one and the same.
//
// A [Selection] is the state of one room. Every comment is offered to it. While
// the room is under its budget a comment passes at once. Above it, comments wait,
// at most [MaxAge], and a tick picks among them:
//
//  1. by weight, heavier first: the host and moderators, then who paid or has a level;
//  2. by fairness: who was shown less within the last [Memory] goes first, and
//     one comment of each sender goes before the second of anybody;
//  3. by lot, drawn anew in each tick.
//
// Comments of equal text become one with a count. What was not picked in time is shed.
// The budget holds in every sliding second, not only on average; a part of it is
// kept for weights above 0.
//
// A Selection is a plain struct that takes the time as an argument. Its memory is
// bounded whatever arrives.
package danmaku
