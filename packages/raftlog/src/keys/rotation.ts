/** Where the change of the data key stands; what is written goes under `pending` as soon as there is one. */
export type DekState =
  | { readonly phase: 'stable'; readonly current: string }
  | { readonly phase: 'rotating'; readonly current: string; readonly pending: string; readonly again: boolean }

/** What moves a rotation on. `fresh` is the id of a new key, used only if the step needs one. */
export type DekEvent =
  | { readonly type: 'rotation-requested'; readonly fresh: string }
  | { readonly type: 'old-key-unused'; readonly fresh: string }

/**
 * One step of a data key rotation. Requests that arrive while one runs collapse into one more, never two.
 *
 * Keep the returned state before acting on it: a crash then only repeats a step.
 */
export function stepRotation(state: DekState, event: DekEvent): DekState {
  switch (event.type) {
    case 'rotation-requested':
      return state.phase === 'stable'
        ? { phase: 'rotating', current: state.current, pending: event.fresh, again: false }
        : { ...state, again: true }
    case 'old-key-unused':
      if (state.phase === 'stable') return state
      return state.again
        ? { phase: 'rotating', current: state.pending, pending: event.fresh, again: false }
        : { phase: 'stable', current: state.pending }
  }
}
