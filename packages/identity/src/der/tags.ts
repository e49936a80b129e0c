// Tag bytes of X.690 that certificates and requests use.
export const BOOLEAN = 0x01
export const INTEGER = 0x02
export const BIT_STRING = 0x03
export const OCTET_STRING = 0x04
export const OBJECT_IDENTIFIER = 0x06
export const UTF8_STRING = 0x0c
export const PRINTABLE_STRING = 0x13
export const IA5_STRING = 0x16
export const UTC_TIME = 0x17
export const GENERALIZED_TIME = 0x18
export const SEQUENCE = 0x30
export const SET = 0x31

/** A context tag around other elements. */
export const explicit = (number: number): number => 0xa0 | number
/** A context tag in place of a primitive type's own. */
export const implicit = (number: number): number => 0x80 | number
