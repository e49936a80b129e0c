/**
 * Request header of `CA/GetRootCACertificate` in which a node of ours says which digest its join token carries, in lower-case hexadecimal. Root certificates are public, and so is their
 * digest; nobody is believed for it. Stock engines do not send it, and stock managers do not read it.
 */
export const TRUST_DIGEST_HEADER = 'leastwise-trust-digest'
