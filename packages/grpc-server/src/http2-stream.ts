/** A stream and its connection, as they see each other, whatever the stream carries. */
import type { Expiring } from './deadlines.ts'
import type { ReceiveWindow } from './receive-window.ts'
import type { Outgoing } from './send-queue.ts'
import type { Status } from './status.ts'

export interface Http2Stream extends Expiring {
  readonly id: number
  readonly received: ReceiveWindow
  /** What the client lets us send; below zero if it has changed its mind. */
  sendWindow: number
  /** The headers of the answer are gone. */
  hasBegun: boolean
  /** The client has sent its last frame. */
  readonly isHalfClosed: boolean
  /** Nothing more is to be sent or received. */
  readonly isOver: boolean
  readonly queue: Outgoing | null
  readonly queuedBytes: number
  /** The connection has sent part of what waited. */
  afterSending(taken: readonly (() => void)[]): void
  /** Takes the payload of a DATA frame. */
  takeData(bytes: Uint8Array, start: number, end: number): void
  /** Lets the client send as much again as was taken. */
  credit(): void
  /** The client has sent its last frame. */
  halfClose(): void
  /** The client has called it off, or is gone. */
  cancel(): void
  /** Nobody waits for the rest of the answer: the client is told so. */
  cutOff(status: Status): void
  /** Ends the stream as one that broke the rules. */
  abort(code: number): void
  /** Lets go of everything. */
  close(): void
}

/** What any stream needs of its connection. */
export interface StreamCarrier {
  readonly windowBytes: number
  readonly maxQueuedBytes: number
  /** The stream has something to send. */
  sendSoon(stream: Http2Stream): void
  sendReset(stream: Http2Stream, code: number): void
  sendWindowUpdate(stream: Http2Stream, bytes: number): void
  /** Memory for what has arrived and is not taken; false if there is none left. */
  takeRoom(bytes: number): boolean
  /** The stream is over: nobody keeps it any more. */
  forget(stream: Http2Stream): void
}
