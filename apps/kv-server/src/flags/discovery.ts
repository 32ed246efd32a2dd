/** Flags of the cluster at which founders meet (etcd's discovery service). */
import { duration, type FlagsFor, list, onOff, text } from './kinds.ts'

/** Files are PEM; empty where none was given. Times are in milliseconds. */
export interface DiscoverySettings {
  /** Empty: nobody is asked. */
  readonly 'discovery-token': string
  readonly 'discovery-endpoints': readonly string[]
  readonly 'discovery-dial-timeout': number
  readonly 'discovery-request-timeout': number
  readonly 'discovery-keepalive-time': number
  readonly 'discovery-keepalive-timeout': number
  readonly 'discovery-insecure-transport': boolean
  readonly 'discovery-insecure-skip-tls-verify': boolean
  readonly 'discovery-cert': string
  readonly 'discovery-key': string
  readonly 'discovery-cacert': string
  readonly 'discovery-user': string
  readonly 'discovery-password': string
}

export const DISCOVERY_FLAGS: FlagsFor<DiscoverySettings> = {
  'discovery-token': text('token', '', 'what founders that meet at another cluster have in common'),
  'discovery-endpoints': list('urls', 'where that cluster is reached'),
  'discovery-dial-timeout': duration('2s', 'longest time to connect to it'),
  'discovery-request-timeout': duration('5s', 'longest time of a request to it'),
  'discovery-keepalive-time': duration('2s', 'it is pinged after this time (at least 10s)'),
  'discovery-keepalive-timeout': duration('6s', 'a ping without an answer ends the connection'),
  'discovery-insecure-transport': onOff(true, 'no TLS where an endpoint does not say https'),
  'discovery-insecure-skip-tls-verify': onOff(false, 'believe any certificate of it: for tests'),
  'discovery-cert': text('path', '', 'certificate to show to it'),
  'discovery-key': text('path', '', 'its key'),
  'discovery-cacert': text('path', '', 'who signs its certificates'),
  'discovery-user': text('name', '', 'who asks it'),
  'discovery-password': text('password', '', 'the password of that user'),
}
