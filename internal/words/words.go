// Package words holds what sealpost says to people about their files, in one place: what happened, to which file, is it
// safe, what happens next, whom to ask.
//
// It promises plain words. It knows no rooms: who speaks hands in names and reasons as text.
package words
