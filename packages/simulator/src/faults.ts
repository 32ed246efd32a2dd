/** Everything that a simulation can do to a cluster. A run that never did something has not tested it. */
export const FAULTS = [
  'crash',
  'crash of all at once',
  'crash right after a write',
  'crash right after a snapshot',
  'shutdown',
  'start',
  'unsynced write lost',
  'write torn',
  'snapshot write cut short',
  'compaction undone by a crash',
  'write failed',
  'write stalled',
  'slow disk',
  'read corrupted',
  'bit rot',
  'disk repaired',
  'message lost',
  'loss noticed',
  'message duplicated',
  'message overtaken',
  'message held up',
  'snapshot stream broken',
  'partition in two',
  'one-way partition',
  'node isolated',
  'bridge',
  'leader cut off',
  'leader stranded',
  'event loop stalled',
  'slow event loop',
  'slow state machine',
  'clock drift',
  'node of a later version',
  'message of an unknown type',
  'options changed',
  'options that make no sense',
  'leader forgotten',
  'quorum lost for good',
  'cluster recovered',
  'leadership transfer',
  'snapshot on demand',
  'learner added',
  'voter added',
  'learner promoted',
  'voter demoted',
  'member removed',
  'member replaced',
  'member replaced when the other has caught up',
  'several members changed at once',
  'member moved',
  'change that makes no sense',
  'change expecting another membership',
  'removed node turned off',
  'removed node left running',
  'removed node stopped',
] as const

export type Fault = (typeof FAULTS)[number]

/** Counts what happened, by name. */
export class Coverage {
  readonly #counts = new Map<string, number>()

  add(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
