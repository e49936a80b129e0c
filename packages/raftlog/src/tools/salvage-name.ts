const NAME = /^\d{20}-\d{20}\.salvage$/
const DIGITS = 20

const padded = (index: bigint): string => index.toString().padStart(DIGITS, '0')

/** Name of a file that holds the entries from `first` to `last`; no log takes it for one of its own. */
export const salvageName = (first: bigint, last: bigint): string => `${padded(first)}-${padded(last)}.salvage`

/** Whether a name is one that {@link salvageName} gives. */
export const isSalvageName = (name: string): boolean => NAME.test(name)
