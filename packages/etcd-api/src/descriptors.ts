/** The schema in protobuf's own description of itself: one file per package, as protoc would have it. */
import protobuf, {
  type Enum,
  type Field,
  type Method,
  type NamespaceBase,
  type ReflectionObject,
  type Service,
  type Type,
} from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor.js'

/** All of one package. */
export interface FileDescriptor {
  readonly name: string
  /** Files that its fields and methods refer to. */
  readonly dependencies: readonly string[]
  /** The full names of its messages, enums, services and methods. */
  readonly symbols: readonly string[]
  /** An encoded FileDescriptorProto. */
  readonly bytes: Uint8Array
}

export function describeFiles(root: NamespaceBase): readonly FileDescriptor[] {
  return packagesIn(root).map(describePackage)
}

/** Namespaces that hold more than other namespaces. */
function packagesIn(namespace: NamespaceBase): NamespaceBase[] {
  const inside = namespace.nestedArray.filter(isPlain).flatMap(packagesIn)
  return namespace.nestedArray.every(isPlain) ? inside : [namespace, ...inside]
}

function isPlain(nested: ReflectionObject): nested is NamespaceBase {
  return (
    nested instanceof protobuf.Namespace &&
    !(nested instanceof protobuf.Type) &&
    !(nested instanceof protobuf.Service)
  )
}

function describePackage(namespace: NamespaceBase): FileDescriptor {
  const messages = namespace.nestedArray.filter((each) => each instanceof protobuf.Type)
  const enums = namespace.nestedArray.filter((each) => each instanceof protobuf.Enum)
  const services = namespace.nestedArray.filter((each) => each instanceof protobuf.Service)
  const name = fileNameOf(namespace)
  const referred = [...messages.flatMap(referencesOf), ...services.flatMap(typesOf)]
  const files = referred.map((type) => fileNameOf(packageOf(type)))
  const dependencies = [...new Set(files)].filter((file) => file !== name)
  const file = descriptor.FileDescriptorProto.create({
    name,
    package: namespace.fullName.slice(1),
    dependency: dependencies,
    messageType: messages.map(describeMessage),
    enumType: enums.map(describeEnum),
    service: services.map(describeService),
    syntax: 'proto3',
  })
  return {
    name,
    dependencies,
    symbols: namespace.nestedArray.flatMap(symbolsIn),
    bytes: descriptor.FileDescriptorProto.encode(file).finish(),
  }
}

function fileNameOf(namespace: NamespaceBase): string {
  return `${namespace.fullName.slice(1)}.proto`
}

function packageOf(type: ReflectionObject): NamespaceBase {
  const { parent } = type
  if (parent === null) throw new TypeError(`${type.fullName} is in no package`)
  return isPlain(parent) ? parent : packageOf(parent)
}

/** Messages and enums that a message refers to. */
function referencesOf(type: Type): ReflectionObject[] {
  const own = type.fieldsArray.flatMap(({ resolvedType }) => resolvedType ?? [])
  const inside = type.nestedArray.filter((each) => each instanceof protobuf.Type)
  return [...own, ...inside.flatMap(referencesOf)]
}

function typesOf(service: Service): ReflectionObject[] {
  return service.methodsArray
    .flatMap((method) => [method.resolvedRequestType ?? [], method.resolvedResponseType ?? []])
    .flat()
}

function symbolsIn(nested: ReflectionObject): string[] {
  const own = nested.fullName.slice(1)
  if (nested instanceof protobuf.Service)
    return [own, ...nested.methodsArray.map((method) => `${own}.${method.name}`)]
  if (nested instanceof protobuf.Type) return [own, ...nested.nestedArray.flatMap(symbolsIn)]
  return nested instanceof protobuf.Enum ? [own] : []
}

const OPTIONAL = 1
const REPEATED = 3
const MESSAGE = 11
const ENUM = 14
const SCALARS: Readonly<Record<string, number>> = {
  int64: 3,
  uint64: 4,
  int32: 5,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
}

function describeMessage(type: Type): object {
  return {
    name: type.name,
    field: type.fieldsArray.map((field) => describeField(field, type)),
    nestedType: type.nestedArray
      .filter((each) => each instanceof protobuf.Type)
      .map(describeMessage),
    enumType: type.nestedArray.filter((each) => each instanceof protobuf.Enum).map(describeEnum),
    oneofDecl: type.oneofsArray.map(({ name }) => ({ name })),
  }
}

function describeField(field: Field, parent: Type): object {
  const { resolvedType, partOf } = field
  const kind = resolvedType instanceof protobuf.Enum ? ENUM : MESSAGE
  return {
    name: field.name,
    number: field.id,
    label: field.repeated ? REPEATED : OPTIONAL,
    ...(resolvedType === null
      ? { type: SCALARS[field.type] }
      : { type: kind, typeName: resolvedType.fullName }),
    ...(partOf === null ? {} : { oneofIndex: parent.oneofsArray.indexOf(partOf) }),
    jsonName: field.name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
  }
}

function describeEnum({ name, values }: Enum): object {
  return { name, value: Object.entries(values).map(([key, number]) => ({ name: key, number })) }
}

function describeService({ name, methodsArray }: Service): object {
  return { name, method: methodsArray.map(describeMethod) }
}

function describeMethod(method: Method): object {
  return {
    name: method.name,
    inputType: method.resolvedRequestType?.fullName,
    outputType: method.resolvedResponseType?.fullName,
    ...(method.requestStream === true ? { clientStreaming: true } : {}),
    ...(method.responseStream === true ? { serverStreaming: true } : {}),
  }
}
