/** What transports over a network have in common: what they take and offer, addresses, and when peers are called. */
export { type Address, formatAddress, formatPlace, parseAddress, type Place } from './address.ts'
export { Calling } from './calling.ts'
export type { TransportEvent } from './event.ts'
export type { NetworkTransport } from './network-transport.ts'
export {
  type NetworkTransportOptions,
  type ResolvedNetworkOptions,
  resolveNetworkOptions,
  resolveNumbers,
} from './options.ts'
export { type Listening, placeToCall, type Security } from './places.ts'
