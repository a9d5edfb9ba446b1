// Package audit is an append-only record of what must be accounted for later: who was muted and why, which money
// moved. It is a Merkle tree, as certificate transparency uses it, with signed checkpoints, in a directory of files.
//
//	l, err := audit.Open("audit", &audit.Options{Signer: signer})
//	if err != nil {
//		return err
//	}
//	defer l.Close()
//
//	shop := gift.Options{Audit: l.Record} // or call it yourself:
//	err = l.Record(ctx, "moderate.mute", map[string]any{"room": "42", "user": "u7", "by": "mod1", "for": "10m"})
//
// [Log.Record] returns when the entry is on disk. Many that run at once share one wait for the disk.
//
// # Keys
//
// The signer is made once, with [note.GenerateKey] and [note.NewSigner], or stands before a key service of yours. Keep the
// private key away from the log's directory: who has both can write another history. The public key is for
// whoever verifies.
//
// # What can be shown afterwards
//
// A checkpoint is a short signed text: the log's name, how many entries it has, and one hash that stands for all of
// them. The log signs one by itself from time to time ([Options.CheckpointEvery], [Options.CheckpointAfter]) and when it
// is closed. Hand copies of it (from [Log.Checkpoint]) to somebody else: another machine, a regulator, a public page.
// From then on not even the holder of the key can change what is before it without being found out.
//
//   - [Verify] reads a whole directory, open or not, and names the first entry that is not as it was written.
//   - [Log.ProveRecord] shows that an entry is under a checkpoint, [Log.ProveTree] that a checkpoint continues an
//     older one. Both proofs are small, and are checked without the log, by [Checkpoint.CheckRecord] and
//     [Checkpoint.CheckTree].
//
// Entries after the newest checkpoint are guarded against accidents only: who can write the files could replace them. And
// who can write the files could also cut away the newest checkpoints together with the entries: only a checkpoint that was
// kept elsewhere shows that.
//
// # Erasing personal data
//
// The tree holds of each entry its number, time, action, and a hash of the detail with 32 random bytes. The detail and
// those bytes are in a file apart. [Log.Erase] overwrites them with zeros, and writes an entry that says which numbers it
// erased. The tree stays as it was and Verify succeeds; what the detail was cannot even be guessed from the
// hash. A detail that is gone without such an entry is a fault. So put into the action nothing about a person.
// Copies that others made of the files, or that a disk keeps of overwritten blocks, are beyond the reach of Erase.
//
// # Files
//
//	entries      128 bytes each: version, action, number, time, hash of the detail; place of the detail, checksum
//	details      32 random bytes and the JSON, one after another
//	tree         the hashes of the tree in the order of tlog.StoredHashIndex; made anew from entries if it is lost
//	checkpoints  signed notes, with an empty line after each
//	LOCK         held by the process that writes
//
// Copy them in the order checkpoints, tree, entries, details to have a good copy of a log in use. They belong on a local
// disk: the lock and the order of writes are not reliable on network file systems.
package audit
