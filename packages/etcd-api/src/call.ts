/**
 * A call as the services see it, whatever carries it: gRPC, the JSON gateway, or a client in the
 * same process.
 */
import type { Encoded } from './encoded.ts'
import type { EtcdError } from './errors.ts'

/** The part of a call that says that its client is gone. */
export interface Cancellable {
  /** Nobody waits for the answer any more. */
  readonly cancelled: boolean
}

export interface Call extends Cancellable {
  /** The subject's common name of the client's certificate, if it showed one that was verified. */
  readonly commonName: string | undefined
  /** What the client sent beside the request under this name in lower case: the first value. */
  metadata(name: string): string | undefined
  /** Called once when the call is over, whoever ended it; soon, if it is over already. */
  onceOver(listener: () => void): void
}

/** What comes from the client of a two-way stream. */
export interface Receiver<Request> {
  message(request: Request): void
  /** The client has no more requests. It still takes answers. */
  end(): void
}

/** A two-way stream: messages both ways, in whatever order. */
export interface DuplexCall<Request, Response> extends Call {
  /** Begins to hand over what the client sends. Called once. */
  receive(receiver: Receiver<Request>): void
  /** Asks the client to send no more for now; what is on its way may still arrive. */
  pause(): void
  resume(): void
  /**
   * Sends a message, or one that is encoded already, whose bytes must not change any more. Answers
   * whether there is room for more; `taken` is called when this one has left. What is written to a
   * call that is over is lost.
   */
  write(response: Response | Encoded, taken?: () => void): boolean
  /** Called whenever there is room again after `write` said that there was none. */
  onRoom(listener: () => void): void
  /** Ends the call, with an error or well, after all that was written. The first end counts. */
  end(error?: EtcdError): void
}
