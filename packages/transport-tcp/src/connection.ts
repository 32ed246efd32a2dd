/** A socket that carries frames, keeps saying "still here", and notices when the other side does not. */
import { CodecError } from '@coracle/raft-core/codec'
import type { Socket } from 'node:net'
import { BEAT, FrameParser, ProtocolError } from './frame.ts'
import { MAX_HANDSHAKE_BYTES } from './handshake.ts'

/** So many silent intervals, and the other side is taken for gone. */
const PATIENCE = 4

export class Connection {
  readonly #socket: Socket
  readonly #parser = new FrameParser(MAX_HANDSHAKE_BYTES)
  readonly #beat: NodeJS.Timeout
  readonly #deadline: NodeJS.Timeout
  #onPayload: (payload: Uint8Array) => void = () => {
    throw new ProtocolError('it speaks out of turn')
  }
  #onClosed: ((why: Error) => void)[] = []
  #onDrain: (() => void)[] = []
  #closed: Error | null = null
  #heard = true
  #said = true
  #silence = 0
  #corked = false

  constructor(
    socket: Socket,
    times: { readonly keepaliveMs: number; readonly handshakeTimeoutMs: number },
  ) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('drain', () => this.#drained())
    socket.on('error', (error) => this.destroy(error))
    socket.on('end', () => this.destroy(new Error('the other side hung up')))
    socket.on('close', () => this.destroy(new Error('the connection was closed')))
    this.#beat = setInterval(() => this.#listen(), times.keepaliveMs)
    this.#deadline = setTimeout(
      () => this.destroy(new Error('the handshake took too long')),
      times.handshakeTimeoutMs,
    )
  }

  get closed(): boolean {
    return this.#closed !== null
  }

  /** Bytes that were written and have not left yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength
  }

  /** Both sides know each other: no deadline any more, and frames may be as large as agreed. */
  established(maxFrameBytes: number): void {
    clearTimeout(this.#deadline)
    this.#parser.maxFrameBytes = maxFrameBytes
  }

  /** Payloads go to the last function given here; those that come before the first break the rules. */
  onPayload(take: (payload: Uint8Array) => void): void {
    this.#onPayload = take
  }

  /** Called once, with the reason; at once if it is closed already. */
  onClosed(react: (why: Error) => void): void {
    if (this.#closed === null) this.#onClosed.push(react)
    else react(this.#closed)
  }

  /** What is written within a turn leaves together. Not to be changed afterwards. */
  write(...parts: readonly Uint8Array[]): void {
    if (this.#closed !== null) return
    this.#said = true
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
      process.nextTick(() => {
        this.#corked = false
        this.#socket.uncork()
      })
    }
    for (const part of parts) this.#socket.write(part)
  }

  /** Resolves when there is room again, or the connection is closed. */
  async drained(): Promise<void> {
    if (this.#closed !== null || !this.#socket.writableNeedDrain) return
    await new Promise<void>((resolve) => this.#onDrain.push(resolve))
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Hangs up at once. Only the first reason counts. */
  destroy(why: Error): void {
    this.#socket.destroy()
    this.#close(why)
  }

  #close(why: Error): void {
    if (this.#closed !== null) return
    this.#closed = why
    clearInterval(this.#beat)
    clearTimeout(this.#deadline)
    this.#drained()
    for (const react of this.#onClosed.splice(0)) react(why)
  }

  #drained(): void {
    for (const resume of this.#onDrain.splice(0)) resume()
  }

  #read(chunk: Uint8Array): void {
    if (this.#closed !== null) return
    this.#heard = true
    try {
      this.#parser.push(chunk, (payload) => {
        if (payload.byteLength > 0) this.#onPayload(payload)
        return this.#closed === null
      })
    } catch (error) {
      // Anything else is a mistake of ours, and must not pass for one of theirs.
      if (!(error instanceof ProtocolError || error instanceof CodecError)) throw error
      this.destroy(error)
    }
  }

  /**
   * Counts intervals rather than time: after this process itself has stood still, only one of them
   * passes before what has arrived meanwhile is read.
   */
  #listen(): void {
    this.#silence = this.#heard || this.#socket.isPaused() ? 0 : this.#silence + 1
    this.#heard = false
    if (this.#silence >= PATIENCE) return this.destroy(new Error('the other side fell silent'))
    if (!this.#said && this.#socket.writableLength === 0) this.write(BEAT)
    this.#said = false
  }
}
