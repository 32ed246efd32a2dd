/** Suites that any storage, transport or state machine must pass, whoever wrote it. */
export {
  transportConformance,
  type TransportConformance,
  type TransportNetwork,
} from './transport.ts'
export {
  networkTransportConformance,
  type NetworkTransportConformance,
} from './network-transport.ts'
export { storageConformance, type StorageConformance } from './storage.ts'
export { stateMachineConformance, type StateMachineConformance } from './state-machine.ts'
