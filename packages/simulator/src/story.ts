import type { RaftEvent } from '@coracle/raft-core'
import type { Ending, Observer, Request } from './observer.ts'
import { narrate, place } from './scenario/narrate.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** The last things that happened, one line each, for people. */
export class Story {
  readonly #clock: VirtualClock
  readonly #limit: number
  #lines: string[] = []

  constructor(clock: VirtualClock, limit: number) {
    this.#clock = clock
    this.#limit = limit
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-this.#limit)
  }

  get observer(): Observer {
    return {
      happened: (_, event) => this.#hear(event),
      asked: (request) => this.#asked(request),
      answered: (request, ending) => this.#answered(request, ending),
      restored: (life, index) => this.tell(`${life.id} restored its state as of ${index}`),
    }
  }

  tell(what: string): void {
    this.#lines.push(`${this.#clock.now.toFixed(1).padStart(9)}  ${what}`)
    if (this.#lines.length > 2 * this.#limit) this.#lines = this.#lines.slice(-this.#limit)
  }

  #hear(event: RaftEvent): void {
    const line = narrate(event) ?? tellMore(event)
    if (line !== null) this.tell(line)
  }

  #asked({ kind, life, number }: Request): void {
    this.tell(`${nameOf(kind, number)} is asked of ${life.id}`)
  }

  #answered({ kind, life, number }: Request, ending: Ending): void {
    this.tell(`${nameOf(kind, number)} at ${life.id} ends: ${tellEnding(ending)}`)
  }
}

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
