import { narrate, type RaftEvent, tellPosition } from '@coracle/raft-core'
import type { Ending, Observer, Request } from './observer.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** Something that may have to be told: the words are found only when somebody wants to read them. */
interface Page {
  readonly time: number
  readonly tell: () => string
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
    const pages = this.#pages.slice(-this.#limit)
    return pages.map(({ time, tell }) => `${time.toFixed(1).padStart(9)}  ${tell()}`)
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
    if (!UNTOLD.includes(event.type)) this.#keep(() => narrate(event))
  }

  #keep(tell: () => string): void {
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
      return `done at ${tellPosition(ending)}`
    case 'failed':
      return ending.code
    case 'lost':
      return 'nobody knows'
  }
}
