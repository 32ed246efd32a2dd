/** The way to one peer: a connection that is opened again and again, and a queue with a limit. */
import type { Message, NodeId } from '@coracle/raft-core'
import { encodeMessage } from '@coracle/raft-core/codec'
import { Calling } from '@coracle/raft-core/transport'
import type { Connection } from './connection.ts'
import { dial } from './dial.ts'
import { FRAME_HEADER_BYTES, seal } from './frame.ts'
import type { Resolved } from './options.ts'

export class Link {
  readonly calling: Calling
  readonly #options: Resolved
  readonly #over = new AbortController()
  #connection: Connection | null = null

  constructor(peer: NodeId, address: string, options: Resolved, onLost: (peer: NodeId) => void) {
    this.#options = options
    const call = (each: string): void => this.#call(peer, each)
    this.calling = new Calling({ peer, address, options, call, onLost })
  }

  send(message: Message): void {
    const { maxQueuedBytes } = this.#options
    const connection = this.#connection
    if (connection === null || connection.queuedBytes >= maxQueuedBytes) return this.calling.lost()
    const frame = this.#encode(message)
    if (frame === null) return
    const { queuedBytes } = connection
    if (queuedBytes > 0 && queuedBytes + frame.byteLength > maxQueuedBytes)
      return this.calling.lost()
    connection.write(frame)
  }

  close(why: Error): void {
    this.calling.close()
    this.#over.abort(why)
    this.#connection?.destroy(why)
  }

  #encode(message: Message): Uint8Array | null {
    try {
      const frame = encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES })
      const length = frame.byteLength - FRAME_HEADER_BYTES
      const { maxMessageBytes } = this.#options
      if (length <= maxMessageBytes) return seal(frame)
      this.calling.refused(`${length} bytes, and ${maxMessageBytes} are allowed`)
    } catch (error) {
      this.calling.refused(String(error))
    }
    return null
  }

  #call(peer: NodeId, address: string): void {
    dial(this.#options, { peer, address, purpose: 'messages' }, this.#over.signal).then(
      (connection) => this.#connected(connection),
      (error: unknown) => this.calling.failed(error),
    )
  }

  #connected(connection: Connection): void {
    if (this.#over.signal.aborted) return connection.destroy(this.#over.signal.reason)
    this.#connection = connection
    this.calling.connected()
    connection.onClosed((why) => {
      this.#connection = null
      this.calling.ended(why.message)
    })
  }
}
