/** Flags of how clients are served. */
import { duration, type FlagsFor, onOff, oneOf, text, whole } from './kinds.ts'

export interface ServingSettings {
  readonly 'listen-client-urls': string
  /** Empty if there are none: the others serve both. */
  readonly 'listen-client-http-urls': string
  /** Empty if it was not given. */
  readonly 'advertise-client-urls': string
  /** Empty if there are none. */
  readonly 'listen-metrics-urls': string
  readonly metrics: 'basic' | 'extensive'
  readonly 'max-request-bytes': number
  readonly 'max-txn-ops': number
  readonly 'max-concurrent-streams': number
  /** In milliseconds, as the others of their kind. */
  readonly 'grpc-keepalive-min-time': number
  readonly 'grpc-keepalive-interval': number
  readonly 'grpc-keepalive-timeout': number
  readonly 'watch-progress-notify-interval': number
  /** `simple`, or `jwt` and what it takes. */
  readonly 'auth-token': string
  readonly 'auth-token-ttl': number
  readonly 'bcrypt-cost': number
  readonly 'enable-grpc-gateway': boolean
  readonly cors: string
  readonly 'host-whitelist': string
}

const LOCAL_CLIENT = 'http://localhost:2379'

export const SERVING_FLAGS: FlagsFor<ServingSettings> = {
  'listen-client-urls': text('urls', LOCAL_CLIENT, 'where to listen for clients'),
  'listen-client-http-urls': text('urls', '', 'where to serve HTTP, which the former then do not'),
  'advertise-client-urls': text('urls', '', 'where clients reach this member'),
  'listen-metrics-urls': text('urls', '', 'where else to serve /metrics and the health checks'),
  metrics: oneOf(['basic', 'extensive'], 'basic', 'whether it is measured how long calls take'),
  'max-request-bytes': whole('bytes', 1_572_864, [1, 1 << 30], 'largest request of a client'),
  'max-txn-ops': whole('ops', 128, [1], 'most operations in a transaction'),
  'max-concurrent-streams': whole('streams', 0xffff_ffff, [1, 0xffff_ffff], 'most per connection'),
  'grpc-keepalive-min-time': duration('5s', 'clients that ping more often are sent away (0: none)'),
  'grpc-keepalive-interval': duration('2h', 'silent clients are pinged after this time (0: never)'),
  'grpc-keepalive-timeout': duration('20s', 'a ping without an answer ends the connection'),
  'watch-progress-notify-interval': duration(
    '10m',
    'how often idle watchers hear how far they are',
  ),
  'auth-token': text('tokens', 'simple', 'what stands for a user: simple, or jwt,sign-method=...'),
  'auth-token-ttl': whole('s', 300, [1, 1 << 30], 'how long a simple token lasts unused'),
  'bcrypt-cost': whole('cost', 10, [4, 31], 'work of hashing a password, each step twice as much'),
  'enable-grpc-gateway': onOff(true, 'serve the API as JSON over HTTP, too'),
  cors: text('origins', '*', 'whose pages may ask over HTTP'),
  'host-whitelist': text('names', '*', 'by which names HTTP clients may call this member'),
}
