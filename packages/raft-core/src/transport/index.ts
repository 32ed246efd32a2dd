/** What transports over a network have in common: addresses, how peers are called, when again. */
export { type Address, formatAddress, formatPlace, parseAddress, type Place } from './address.ts'
export { AddressRotation } from './address-rotation.ts'
export { Backoff } from './backoff.ts'
export type { TransportEvent } from './event.ts'
export { checkNames, resolveNumbers } from './options.ts'
export { type Listening, placesToListen, placeToCall, type Security } from './places.ts'
