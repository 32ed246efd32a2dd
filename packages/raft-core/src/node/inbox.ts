import type { Message } from '../messages.ts'
import type { NodeOptions } from '../options.ts'
import type { NodeId } from '../types.ts'
import type { Turns } from './turns.ts'

/** What has arrived since the last turn: messages, and news of messages that were lost. */
export class Inbox {
  readonly #turns: Turns
  readonly #options: Pick<NodeOptions, 'maxPendingMessages'>
  #messages: Message[] = []
  /** One that is reported again before its turn is one. */
  #unreachable = new Set<NodeId>()

  constructor(turns: Turns, options: Pick<NodeOptions, 'maxPendingMessages'>) {
    this.#turns = turns
    this.#options = options
  }

  /** More than there is room for is lost, as in a network. */
  receive(message: Message): void {
    if (this.#turns.isOver || this.#messages.length >= this.#options.maxPendingMessages) return
    this.#messages.push(message)
    this.#turns.request()
  }

  lose(peer: NodeId): void {
    if (this.#turns.isOver) return
    this.#unreachable.add(peer)
    this.#turns.request()
  }

  takeMessages(): readonly Message[] {
    const messages = this.#messages
    if (messages.length > 0) this.#messages = []
    return messages
  }

  takeUnreachable(): Iterable<NodeId> {
    const unreachable = this.#unreachable
    if (unreachable.size > 0) this.#unreachable = new Set()
    return unreachable
  }
}
