/** What handlers get and give. */
import type { OutgoingMessage } from './outgoing-message.ts'
import type { Status } from './status.ts'

/** A call as its handler sees it. */
export interface Call {
  /** `/package.Service/Method`. */
  readonly path: string
  /** `address:port` of the client. */
  readonly peer: string
  /** The subject's common name of the client's certificate, if it showed one that was verified. */
  readonly commonName: string | undefined
  /** When the client stops waiting, on the clock of `performance.now()`; null if it never does. */
  readonly deadline: number | null
  /**
   * Nobody waits for the answer any more: the client called it off, its deadline passed, or it is
   * gone. What is answered from now on is lost.
   */
  readonly cancelled: boolean
  /** The first value that the client sent under this name, which is in lower case. */
  metadata(name: string): string | undefined
  /** The same for a name that ends in `-bin`: the bytes that its value stands for. */
  binaryMetadata(name: string): Uint8Array | undefined
  /** Every name and value that the client sent, in its order. */
  allMetadata(): readonly (readonly [name: string, value: string])[]
  /** Called once if the call is cancelled; soon, if it is already. */
  onCancelled(listener: () => void): void
  /** Called once when the call is over, whoever ended it; soon, if it is over already. */
  onceOver(listener: () => void): void
}

/** What comes from the client of a two-way stream. Its methods must not throw. */
export interface Receiver {
  /** A message: a view of what arrived, so what is kept for long is best copied. */
  message(message: Uint8Array): void
  /** The client sends no more. It still takes answers. */
  end(): void
}

/** A call with any number of answers. */
export interface ServerStreamCall extends Call {
  /** Messages and their framing that wait for the client to have room, in bytes. */
  readonly queuedBytes: number
  /**
   * Sends a message, whose bytes must not change any more. Answers whether there is room for more; what
   * is written all the same is kept. `taken` is called when this one has gone to the socket, which may
   * be at once. What is written to a call that is over is lost.
   */
  write(message: OutgoingMessage, taken?: () => void): boolean
  /** Called whenever there is room again after `write` said that there was none. */
  onRoom(listener: () => void): void
  /** Ends the call, with a failure or well, after all that was written. The first end counts. */
  end(status?: Status): void
}

/** Messages both ways, in whatever order. */
export interface DuplexCall extends ServerStreamCall {
  /** Begins to hand over what the client sends. Called once, before the handler returns. */
  receive(receiver: Receiver): void
  /** Hands over nothing until `resume`, and lets the client send no more than its window. */
  pause(): void
  resume(): void
}

/** How a method is served. A handler that throws or rejects ends its call with that status. */
export type Handler =
  | {
      readonly kind: 'unary'
      handle(request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array>
    }
  | {
      readonly kind: 'server-stream'
      handle(request: Uint8Array, call: ServerStreamCall): void | Promise<void>
    }
  | { readonly kind: 'duplex'; handle(call: DuplexCall): void | Promise<void> }
