import type { RaftEvent } from '@coracle/raft-core'
import type { Ending, Observer, Request } from './observer.ts'
import { narrate, place } from './scenario/narrate.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** Something that may have to be told: the words are found only when somebody wants to read them. */
interface Page {
  readonly time: number
  readonly tell: () => string | null
}

/** The last things that happened, one line each, for people. */
export class Story {
  readonly #clock: VirtualClock
  readonly #limit: number
  #pages: Page[] = []

  constructor(clock: VirtualClock, limit: number) {
    this.#clock = clock
    this.#limit = limit
  }

  get lines(): readonly string[] {
    const told = this.#pages.flatMap(({ time, tell }) => {
      const line = tell()
      return line === null ? [] : [`${time.toFixed(1).padStart(9)}  ${line}`]
    })
    return told.slice(-this.#limit)
  }

  get observer(): Observer {
    return {
      happened: (_, event) => this.#hear(event),
      asked: ({ kind, life, number }) =>
        this.#keep(() => `${nameOf(kind, number)} is asked of ${life.id}`),
      answered: ({ kind, life, number }, ending) =>
        this.#keep(() => `${nameOf(kind, number)} at ${life.id} ends: ${tellEnding(ending)}`),
      restored: ({ id }, index) => this.#keep(() => `${id} restored its state as of ${index}`),
    }
  }

  tell(what: string): void {
    this.#keep(() => what)
  }

  #hear(event: RaftEvent): void {
    if (!UNTOLD.includes(event.type)) this.#keep(() => narrate(event) ?? tellMore(event))
  }

  #keep(tell: () => string | null): void {
    if (this.#limit === 0) return
    this.#pages.push({ time: this.#clock.now, tell })
    if (this.#pages.length > 4 * this.#limit) this.#pages = this.#pages.slice(-2 * this.#limit)
  }
}

/** Most of all events, and never worth a line. */
const UNTOLD: readonly string[] = ['message-sent', 'message-received']

function nameOf(kind: Request['kind'], number: number): string {
  return kind === 'propose' ? `proposal ${number}` : `a ${kind}`
}

function tellEnding(ending: Ending): string {
  switch (ending.type) {
    case 'done':
      return `done at ${place(ending)}`
    case 'failed':
      return ending.code
    case 'lost':
      return 'nobody knows'
  }
}

/** What a scenario leaves out, and whoever looks for a bug wants to know. */
function tellMore(event: RaftEvent): string | null {
  if (event.type === 'entries-applied') return `${event.node} applied up to ${event.index}`
  if (event.type === 'snapshot-taken')
    return `${event.node} took a snapshot up to ${place(event.position)}`
  if (event.type === 'node-failed') return `${event.node} stops: ${String(event.cause)}`
  return null
}
