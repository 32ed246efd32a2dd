/** The way to one peer: a stream that is opened again and again, and a queue with a limit. */
import type { Message, NodeId } from '@coracle/raft-core'
import { encodeMessage } from '@coracle/raft-core/codec'
import { Calling } from '@coracle/raft-core/transport'
import type { Client, ClientDuplexStream } from '@grpc/grpc-js'
import { openClient } from './dial.ts'
import { FRAME_HEADER_BYTES, seal } from './frame.ts'
import { helloMetadata, objectionToAnswer } from './handshake.ts'
import type { Resolved } from './options.ts'
import { type Bytes, MESSAGES } from './service.ts'

/** One attempt: a channel and its stream, from the call to the status that ends it. */
interface Attempt {
  readonly client: Client
  readonly call: ClientDuplexStream<Bytes, Bytes>
  readonly deadline: NodeJS.Timeout
  established: boolean
  queuedBytes: number
}

export class Link {
  readonly calling: Calling
  readonly #options: Resolved
  #attempt: Attempt | null = null

  constructor(peer: NodeId, address: string, options: Resolved, onLost: (peer: NodeId) => void) {
    this.#options = options
    const call = (each: string): void => {
      this.#attempt = this.#call(peer, each)
    }
    this.calling = new Calling({ peer, address, options, call, onLost })
  }

  send(message: Message): void {
    const { maxQueuedBytes } = this.#options
    const attempt = this.#attempt
    if (attempt === null || !attempt.established) return this.calling.lost()
    if (attempt.queuedBytes >= maxQueuedBytes) return this.calling.lost()
    const frame = this.#encode(message)
    if (frame === null) return
    const { byteLength } = frame
    if (attempt.queuedBytes > 0 && attempt.queuedBytes + byteLength > maxQueuedBytes)
      return this.calling.lost()
    attempt.queuedBytes += byteLength
    attempt.call.write(frame, () => {
      attempt.queuedBytes -= byteLength
    })
  }

  close(): void {
    this.calling.close()
    if (this.#attempt !== null) this.#give(this.#attempt)
  }

  #encode(message: Message): Uint8Array | null {
    try {
      const frame = encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES })
      const { maxMessageBytes } = this.#options
      if (frame.byteLength <= maxMessageBytes) return seal(frame)
      this.calling.refused(`${frame.byteLength} bytes, and ${maxMessageBytes} are allowed`)
    } catch (error) {
      this.calling.refused(String(error))
    }
    return null
  }

  #call(to: NodeId, address: string): Attempt {
    const { id: from, cluster, handshakeTimeoutMs } = this.#options
    const client = openClient(this.#options, address)
    const { path, requestSerialize, responseDeserialize } = MESSAGES
    const metadata = helloMetadata({ cluster, from, to })
    const call = client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
      {},
    )
    const deadline = setTimeout(
      () => this.#ended(attempt, 'the handshake took too long'),
      handshakeTimeoutMs,
    )
    const attempt: Attempt = { client, call, deadline, established: false, queuedBytes: 0 }
    call.on('metadata', (answer) => {
      const objection = objectionToAnswer(answer, cluster, to)
      if (objection === null) this.#established(attempt)
      else this.#ended(attempt, objection)
    })
    call.on('data', () => this.#ended(attempt, 'it speaks out of turn'))
    // The status says the same, and comes in any case.
    call.on('error', () => {})
    call.on('status', ({ details }) => this.#ended(attempt, details || 'the peer ended the stream'))
    return attempt
  }

  #established(attempt: Attempt): void {
    if (attempt !== this.#attempt) return
    attempt.established = true
    clearTimeout(attempt.deadline)
    this.calling.connected()
  }

  /** The first reason why an attempt ended counts; the others follow from giving it up. */
  #ended(attempt: Attempt, why: string): void {
    if (attempt !== this.#attempt) return
    this.#give(attempt)
    if (attempt.established) this.calling.ended(why)
    else this.calling.failed(why)
  }

  #give({ client, call, deadline }: Attempt): void {
    this.#attempt = null
    clearTimeout(deadline)
    call.cancel()
    client.close()
  }
}
