package testkit

import (
	"reflect"
	"time"
)

// Fill sets all fields of a value, and of the values in it. Strings become text, and values of the
// types among known become these. Lists and maps get one element.
func Fill(to any, text string, known ...any) {
	f := filling{text: text, known: map[reflect.Type]reflect.Value{}}
	for _, k := range append(known, time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)) {
		f.known[reflect.TypeOf(k)] = reflect.ValueOf(k)
	}
	f.fill(reflect.ValueOf(to).Elem(), 0)
}

type filling struct {
	text  string
	known map[reflect.Type]reflect.Value
}

const deepest = 12 // of types that contain themselves

func (f filling) fill(v reflect.Value, depth int) {
	if k, ok := f.known[v.Type()]; ok {
		v.Set(k)
		return
	}
	if depth > deepest {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0), depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, depth+1)
		f.fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i), depth+1)
			}
		}
	}
}
