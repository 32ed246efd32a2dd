/** The SETTINGS frame (RFC 9113, section 6.5): what each side can take. */
import { ErrorCode, Http2Error, MAX_WINDOW_BYTES, uint32At } from './frames.ts'

const HEADER_TABLE_SIZE = 1
const ENABLE_PUSH = 2
const MAX_CONCURRENT_STREAMS = 3
const INITIAL_WINDOW_SIZE = 4
const MAX_FRAME_SIZE = 5
const MAX_HEADER_LIST_SIZE = 6

const SETTING_BYTES = 6
const NO_LIMIT = 0xffff_ffff

/** The settings of a client that matter to a server; those that it did not send are undefined. */
export interface ClientSettings {
  readonly headerTableBytes?: number
  readonly initialWindowBytes?: number
  readonly maxFrameBytes?: number
}

/** Reads the payload in [start, end). A setting that nobody knows is passed over. */
export function readSettings(bytes: Uint8Array, start: number, end: number): ClientSettings {
  if ((end - start) % SETTING_BYTES !== 0)
    throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'settings of six bytes each are expected')
  const settings: { -readonly [Name in keyof ClientSettings]: number } = {}
  for (let at = start; at < end; at += SETTING_BYTES) {
    const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
    const value = uint32At(bytes, at + 2)
    switch (id) {
      case HEADER_TABLE_SIZE:
        // The smallest one counts: between two sizes the table may have been emptied (RFC 7541, 4.2).
        settings.headerTableBytes = Math.min(settings.headerTableBytes ?? Infinity, value)
        break
      case ENABLE_PUSH:
        if (value > 1) throw new Http2Error(ErrorCode.PROTOCOL_ERROR, 'push is 0 or 1')
        break
      case INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES)
          throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, `a window of ${value} bytes`)
        settings.initialWindowBytes = value
        break
      case MAX_FRAME_SIZE:
        if (value < 16_384 || value > 16_777_215)
          throw new Http2Error(ErrorCode.PROTOCOL_ERROR, `frames of ${value} bytes`)
        settings.maxFrameBytes = value
        break
    }
  }
  return settings
}

export interface ServerSettings {
  readonly maxConcurrentStreams: number
  readonly windowBytes: number
  readonly maxHeaderListBytes: number
}

/** The payload of the server's own settings. */
export function writeSettings(settings: ServerSettings): Uint8Array {
  const { maxConcurrentStreams, windowBytes, maxHeaderListBytes } = settings
  const pairs: [id: number, value: number][] = [
    [INITIAL_WINDOW_SIZE, windowBytes],
    [MAX_HEADER_LIST_SIZE, maxHeaderListBytes],
  ]
  if (maxConcurrentStreams < NO_LIMIT) pairs.unshift([MAX_CONCURRENT_STREAMS, maxConcurrentStreams])
  const view = new DataView(new ArrayBuffer(pairs.length * SETTING_BYTES))
  for (const [place, [id, value]] of pairs.entries()) {
    view.setUint16(place * SETTING_BYTES, id)
    view.setUint32(place * SETTING_BYTES + 2, value)
  }
  return new Uint8Array(view.buffer)
}
