/** One call: a stream of HTTP/2 with gRPC's messages on it, from its first frame to its last. */
import type { DuplexCall, Handler, Receiver } from './call.ts'
import type { Http2Stream, StreamCarrier } from './http2-stream.ts'
import { ReceiveWindow } from './receive-window.ts'
import { MessageReader, messageLength, PREFIX_BYTES, viewOf } from './message-reader.ts'
import { decodeBinary } from './metadata.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import type { RequestHead } from './request-head.ts'
import { SendQueue } from './send-queue.ts'
import { Code, GrpcError, type Status, statusOf } from './status.ts'

/** What a call needs of its connection. */
export interface CallCarrier extends StreamCarrier {
  readonly peer: string
  readonly commonName: string | undefined
  readonly maxMessageBytes: number
  /** Sends one message and the end of a call in one go; false if there is no room for it now. */
  sendWhole(stream: ServerStream, message: Uint8Array): boolean
  /** Sends one message at once; false if it has to wait. */
  sendMessage(stream: ServerStream, message: OutgoingMessage): boolean
  /** Ends the stream with trailers, at once. */
  sendEnd(stream: ServerStream, status: Status | null): void
}

export class ServerStream implements DuplexCall, Http2Stream {
  readonly id: number
  readonly head: RequestHead
  readonly deadline: number | null
  cancelled = false
  readonly received: ReceiveWindow
  sendWindow: number
  hasBegun = false
  isHalfClosed = false
  isOver = false
  readonly #carrier: CallCarrier
  readonly #handler: Handler
  #reader: MessageReader | null = null
  #request: Uint8Array | null = null
  #queue: SendQueue | null = null
  /** How the call ends when all is sent; undefined as long as it does not. */
  #end: Status | null | undefined
  #receiver: Receiver | null = null
  #isPaused = false
  #inbox: Uint8Array[] | null = null
  #isEndDelivered = false
  #wantsRoom = false
  #onRoom: (() => void) | null = null
  #onCancelled: (() => void)[] | null = null
  #onOver: (() => void)[] | null = null

  constructor(
    id: number,
    head: RequestHead,
    handler: Handler,
    carrier: CallCarrier,
    sendWindow: number,
  ) {
    this.id = id
    this.head = head
    this.#handler = handler
    this.#carrier = carrier
    this.sendWindow = sendWindow
    this.received = new ReceiveWindow(carrier.windowBytes, head.contentLength)
    this.deadline = head.timeoutMs === null ? null : performance.now() + head.timeoutMs
  }

  get path(): string {
    return this.head.path
  }

  get peer(): string {
    return this.#carrier.peer
  }

  get commonName(): string | undefined {
    return this.#carrier.commonName
  }

  metadata(name: string): string | undefined {
    return this.head.metadata.get(name)
  }

  binaryMetadata(name: string): Uint8Array | undefined {
    const value = this.head.metadata.get(name)
    return value === undefined ? undefined : decodeBinary(value)
  }

  allMetadata(): readonly (readonly [name: string, value: string])[] {
    return this.head.metadata.entries()
  }

  onCancelled(listener: () => void): void {
    if (this.cancelled) queueMicrotask(listener)
    else if (!this.isOver) (this.#onCancelled ??= []).push(listener)
  }

  onceOver(listener: () => void): void {
    if (this.isOver) queueMicrotask(listener)
    else (this.#onOver ??= []).push(listener)
  }

  /** A two-way call begins with its headers, every other one with its request. */
  open(): void {
    if (this.#handler.kind === 'duplex') this.#run(() => this.#start())
  }

  #start(): void {
    const handler = this.#handler
    if (handler.kind === 'duplex') this.#follow(handler.handle(this))
    else if (handler.kind === 'server-stream')
      this.#follow(handler.handle(this.#request as Uint8Array, this))
    else this.#answer(handler.handle(this.#request as Uint8Array, this))
    this.#request = null
  }

  #answer(answer: Uint8Array | Promise<Uint8Array>): void {
    if (answer instanceof Uint8Array) return this.#respond(answer)
    answer.then(
      (message) => this.#respond(message),
      (error: unknown) => this.#fail(error),
    )
  }

  #follow(done: void | Promise<void>): void {
    if (done !== undefined) done.catch((error: unknown) => this.#fail(error))
  }

  #respond(message: Uint8Array): void {
    if (this.isOver || this.#end !== undefined) return
    if (this.#carrier.sendWhole(this, message)) return
    this.write(message)
    this.end()
  }

  #run(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.end(statusOf(error))
  }

  /**
   * Takes the payload of a DATA frame. What was taken for good goes back to the client's window,
   * whether or not the message is complete: its length is limited, and its client not to be blocked.
   */
  takeData(bytes: Uint8Array, start: number, end: number): void {
    if (this.isOver) return
    try {
      this.#read(bytes, start, end)
    } catch (error) {
      this.#fail(error)
    }
  }

  #read(bytes: Uint8Array, start: number, end: number): void {
    // Most messages come whole, in a frame of their own.
    if (this.#reader === null && end - start >= PREFIX_BYTES) {
      const length = messageLength(bytes, start, this.#carrier.maxMessageBytes)
      if (end - start === PREFIX_BYTES + length)
        return this.#take(viewOf(bytes, start + PREFIX_BYTES, end))
    }
    this.#reader ??= new MessageReader(this.#carrier.maxMessageBytes, (room) =>
      this.#carrier.takeRoom(room),
    )
    this.#reader.read(bytes, start, end, (message) => this.#take(message))
  }

  #take(message: Uint8Array): void {
    if (this.isOver) return
    if (this.#handler.kind === 'duplex') return this.#deliver(message)
    if (this.#request !== null)
      throw new GrpcError(Code.INTERNAL, 'grpc: a second message where one is expected')
    this.#request = message
  }

  #deliver(message: Uint8Array): void {
    if (!this.#isPaused) return this.#receiver?.message(message)
    if (!this.#carrier.takeRoom(message.length))
      throw new GrpcError(Code.RESOURCE_EXHAUSTED, 'grpc: too many messages that nobody takes')
    ;(this.#inbox ??= []).push(message)
  }

  credit(): void {
    if (this.#isPaused || this.isHalfClosed) return
    const credit = this.received.credit()
    if (credit > 0) this.#carrier.sendWindowUpdate(this, credit)
  }

  halfClose(): void {
    this.isHalfClosed = true
    if (this.isOver) return
    const isCut = this.#reader !== null && !this.#reader.isAtBoundary
    if (isCut) this.end({ code: Code.INTERNAL, message: 'unexpected EOF' })
    else if (this.#handler.kind === 'duplex') this.#deliverEnd()
    else if (this.#request !== null) this.#run(() => this.#start())
    else this.end({ code: Code.INTERNAL, message: 'grpc: no message where one is expected' })
  }

  #deliverEnd(): void {
    if (this.#isPaused || this.#isEndDelivered) return
    this.#isEndDelivered = true
    this.#run(() => this.#receiver?.end())
  }

  receive(receiver: Receiver): void {
    this.#receiver = receiver
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#run(() => this.#empty())
    if (this.isOver || this.#isPaused) return
    this.credit()
    if (this.isHalfClosed) this.#deliverEnd()
  }

  /** The receiver may pause again meanwhile. */
  #empty(): void {
    const inbox = this.#inbox ?? []
    let delivered = 0
    while (delivered < inbox.length && !this.#isPaused && !this.isOver) {
      const message = inbox[delivered] as Uint8Array
      delivered += 1
      this.#carrier.takeRoom(-message.length)
      this.#receiver?.message(message)
    }
    inbox.splice(0, delivered)
  }

  get queuedBytes(): number {
    return this.#queue?.bytes ?? 0
  }

  write(message: OutgoingMessage, taken?: () => void): boolean {
    if (this.isOver || this.cancelled || this.#end !== undefined) return true
    if (this.#carrier.sendMessage(this, message)) {
      taken?.()
      return true
    }
    const queue = (this.#queue ??= new SendQueue())
    queue.push(message, taken)
    this.#carrier.sendSoon(this)
    if (queue.bytes < this.#carrier.maxQueuedBytes) return true
    this.#wantsRoom = true
    return false
  }

  onRoom(listener: () => void): void {
    this.#onRoom = listener
  }

  end(status?: Status): void {
    if (this.isOver || this.cancelled || this.#end !== undefined) return
    this.#end = status ?? null
    if (this.queuedBytes === 0) this.#carrier.sendEnd(this, this.#end)
  }

  /** What waits to be sent; for the connection, which sends it. */
  get queue(): SendQueue | null {
    return this.#queue
  }

  afterSending(taken: readonly (() => void)[]): void {
    for (const tell of taken) tell()
    if (this.isOver) return
    const left = this.queuedBytes
    if (left === 0 && this.#end !== undefined) this.#carrier.sendEnd(this, this.#end)
    else if (this.#wantsRoom && left <= this.#carrier.maxQueuedBytes / 2) {
      this.#wantsRoom = false
      this.#onRoom?.()
    }
  }

  /** The deadline has passed: the client knows by itself, but its stream may still be open. */
  expire(): void {
    this.cutOff({ code: Code.DEADLINE_EXCEEDED, message: 'context deadline exceeded' })
  }

  cutOff(status: Status): void {
    if (this.isOver) return
    this.cancelled = true
    this.#tell(this.#onCancelled)
    this.#carrier.sendEnd(this, status)
  }

  cancel(): void {
    if (this.isOver) return
    this.cancelled = true
    this.#tell(this.#onCancelled)
    this.close()
  }

  abort(code: number): void {
    if (this.isOver) return
    this.#carrier.sendReset(this, code)
    this.cancel()
  }

  close(): void {
    if (this.isOver) return
    this.isOver = true
    let held = this.#reader?.heldBytes ?? 0
    for (const message of this.#inbox ?? []) held += message.length
    if (held > 0) this.#carrier.takeRoom(-held)
    this.#reader = null
    this.#inbox = null
    this.#queue = null
    this.#carrier.forget(this)
    this.#tell(this.#onOver)
  }

  /** A listener that throws is a defect of the handler, and not to harm the connection. */
  #tell(listeners: (() => void)[] | null): void {
    for (const listener of listeners ?? []) this.#run(listener)
  }
}
