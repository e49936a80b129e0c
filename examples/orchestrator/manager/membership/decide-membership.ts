import {
  type EvictionBook,
  type EvictionEvent,
  evictionBook,
  evictionsFrom,
  type Membership,
  type MembershipCommand,
  type MembershipEvent,
  membership,
} from '@leastwise/identity'

export type MembershipChange =
  | { readonly part: 'membership'; readonly event: MembershipEvent }
  | { readonly part: 'evictions'; readonly event: EvictionEvent }

interface Parts {
  readonly membership: Membership
  readonly evictions: EvictionBook
}

const instantOf = (event: MembershipEvent, now: number): number =>
  event.type === 'node-evicted' || event.type === 'role-changed' ? event.at : now

/** Decides about the membership, and enters in the book of evictions what follows from it: in the same entry of the log. */
export function decideMembership(parts: Parts, command: MembershipCommand, now: number): readonly MembershipChange[] {
  const changes: MembershipChange[] = []
  let { membership: members, evictions: book } = parts
  for (const event of membership.decide(members, command)) {
    const evictions = evictionsFrom(members, event, instantOf(event, now))
    members = membership.evolve(members, event)
    changes.push({ part: 'membership', event })
    for (const added of evictionBook.decide(book, { type: 'add', evictions })) {
      book = evictionBook.evolve(book, added)
      changes.push({ part: 'evictions', event: added })
    }
  }
  return changes
}
