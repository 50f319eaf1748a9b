;; A guest for the tests. What stands in braces is filled in by `Guest`; without the order parts it is
;; a whole program, with them a template.
(component
  (type $reader (instance
    (type $e (enum "no-card" "removed" "denied" "limit" "timeout" "failed"))
    (export "reader-error" (type $error (eq $e)))
    (type $bytes (list u8))
    (type $answer (result $bytes (error $error)))
    (type $call (func (param "command" $bytes) (result $answer)))
    (export "transmit" (func (type $call)))))
  (type $network (instance
    (type $e (enum "offline" "denied" "limit" "timeout" "failed"))
    (export "network-error" (type $error (eq $e)))
    (type $bytes (list u8))
    (type $answer (result $bytes (error $error)))
    (type $call (func (param "request" $bytes) (result $answer)))
    (export "exchange" (func (type $call)))))
  (import "tegata:terminal/reader@0.1.0" (instance $reader (type $reader)))
  (import "tegata:terminal/network@0.1.0" (instance $network (type $network)))
  (alias export $reader "transmit" (func $transmit))
  (alias export $network "exchange" (func $exchange))
  {order_import}
  {components}
  (core module $library
    (memory (export "memory") {memory})
    (global $next (mut i32) (i32.const 32768))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (global.get $next))
      (global.set $next (i32.add (global.get $next) (local.get 3)))
      (if (i32.gt_u (global.get $next) (i32.const 57344))
        (then (local.set $at (i32.const 32768))
          (global.set $next (i32.add (i32.const 32768) (local.get 3)))))
      (local.get $at))
    {library})
  (core instance $library (instantiate $library))
  (alias core export $library "memory" (core memory $memory))
  (alias core export $library "realloc" (core func $realloc))
  (core func $transmit (canon lower (func $transmit)
    (memory $memory) (realloc (core func $realloc))))
  (core func $exchange (canon lower (func $exchange)
    (memory $memory) (realloc (core func $realloc))))
  {order_lower}
  (core module $main
    (import "library" "memory" (memory {memory}))
    (import "host" "transmit" (func $transmit (param i32 i32 i32)))
    (import "host" "exchange" (func $exchange (param i32 i32 i32)))
    {order_main}
    {parts}
    (func (export "run") (result i32)
      {run}))
  (core instance $main (instantiate $main
    (with "library" (instance $library))
    (with "host" (instance
      (export "transmit" (func $transmit))
      (export "exchange" (func $exchange))
      {order_with}))))
  (alias core export $main "run" (core func $run))
  (type $failure
    (enum "order" "card-unsupported" "reader" "network" "protocol" "refused"))
  (type $list (list u8))
  (component $program
    (type $f (enum "order" "card-unsupported" "reader" "network" "protocol" "refused"))
    (import "failure" (type $failure (eq $f)))
    (type $list (list u8))
    (type $result (result $list (error $failure)))
    (import "run" (func $run (result $result)))
    (export $exported "failure" (type $failure))
    (type $typed (result $list (error $exported)))
    (export "run" (func $run) (func (result $typed))))
  (type $result (result $list (error $failure)))
  (func $run (result $result) (canon lift (core func $run)
    (memory $memory) (realloc (core func $realloc))))
  (instance $exported (instantiate $program
    (with "failure" (type $failure)) (with "run" (func $run))))
  (export "tegata:terminal/program@0.1.0" (instance $exported)))
