// Never runs: it compiles, or two packages mean different things by the same word. A host may then hand one clock, one
// random source, one key wrapper to all of them.
import type * as identity from '../../packages/identity/src/ports.ts'
import type * as raftlog from '../../packages/raftlog/src/ports.ts'
import type * as secrets from '../../packages/secrets/src/ports.ts'
import type * as swarm from '../../packages/swarm/src/ports.ts'
import type * as tokens from '../../packages/tokens/src/ports.ts'

/** `true` if each type can stand for each other one. */
type Agree<First, Rest extends readonly unknown[]> = Rest extends readonly [infer Next, ...infer Others]
  ? [First, Next] extends [Next, First]
    ? Agree<First, Others>
    : false
  : true

export const agreement: readonly true[] = [
  true satisfies Agree<identity.Clock, [raftlog.Clock, secrets.Clock, swarm.Clock]>,
  true satisfies Agree<identity.RandomSource, [raftlog.RandomSource, swarm.RandomSource, tokens.RandomSource]>,
  true satisfies Agree<identity.Digest, [raftlog.Digest, swarm.Digest, tokens.Digest]>,
  true satisfies Agree<identity.KeyWrapper, [raftlog.KeyWrapper]>,
  true satisfies Agree<identity.Decider<1, 2, 3>, [secrets.Decider<1, 2, 3>, tokens.Decider<1, 2, 3>]>,
]
