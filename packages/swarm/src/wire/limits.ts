/** Longest CSR taken, in bytes of PEM. A P-256 request is about 400 bytes, an RSA-4096 one with many names under 4 KiB. */
export const MAX_CSR_BYTES = 65_536

/** Longest join token looked at, in characters. Docker's own have 85 or 87. */
export const MAX_TOKEN_CHARS = 256

/** Longest signature of a recovery, in bytes. P-384 has 104 at most. */
export const MAX_SIGNATURE_BYTES = 1024

/** Longest challenge of a recovery, in bytes. Ours have 40. */
export const MAX_CHALLENGE_BYTES = 256

/** Longest id (node, session, task, secret, service), in characters. Docker's have 25, task-bound secret ids twice that. */
export const MAX_ID_CHARS = 128

/** Longest name, message, label or other short text, in characters. */
export const MAX_TEXT_CHARS = 4096

/** Most labels or plugins in a node's description; the message limit alone would allow a hundred thousand. */
export const MAX_DESCRIPTION_ITEMS = 1024

/** Most status updates in one message. Docker's engine sends one call for what has gathered, far fewer than this. */
export const MAX_STATUS_UPDATES = 10_000

/** Most managers in a session message. Raft groups are small. */
export const MAX_MANAGERS = 128

/** Largest message that a manager reads, in bytes: status updates of ten thousand tasks fit. */
export const MAX_REQUEST_BYTES = 4_194_304

/** Largest message that an agent reads, in bytes: 128 secrets of the largest size fit in one set, as with stock engines. */
export const MAX_ANSWER_BYTES = 67_108_864

/** Largest answer read before the peer is verified, in bytes: a trust bundle and nothing more. */
export const MAX_BOOTSTRAP_ANSWER_BYTES = 131_072
