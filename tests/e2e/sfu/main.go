// An SFU for tests: it forwards media between WebRTC parties and cannot decrypt it.
//
//	POST   /whip/{party}               an SDP offer to publish; the body of the reply is the answer
//	POST   /whep/{party}?as={name}     an SDP offer to receive what {party} publishes, as {name};
//	                                   with &rid={rid} beginning with that simulcast layer
//	POST   /layer/{name}?rid={rid}     another simulcast layer, from its next key frame on; of VP9 the
//	                                   spatial layers up to l, m or h
//	POST   /impair/{name}?kind={kind}  what to do to the packets for {name}: an Impairment in JSON
//	GET    /stats/{name}               what was forwarded to {name}, in JSON
//	DELETE /party/{name}               ends a connection
//
// The shapes are those of WHIP and WHEP. Everything it sees of a party is written to files in the
// folder given with -dump, as a spy in its place would.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

func main() {
	address := flag.String("http", "127.0.0.1:8190", "where to listen for requests")
	dump := flag.String("dump", "", "folder for what is seen")
	flag.Parse()
	log.SetFlags(log.Lmicroseconds)
	api, err := newAPI()
	if err != nil {
		log.Fatal(err)
	}
	sfu := newSFU(api, *dump)
	log.Printf("listening on %s", *address)
	log.Fatal(http.ListenAndServe(*address, sfu.routes()))
}

func newAPI() (*webrtc.API, error) {
	media, interceptors := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	if err := webrtc.RegisterDefaultInterceptors(media, interceptors); err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{}
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return webrtc.NewAPI(webrtc.WithMediaEngine(media),
		webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(settings)), nil
}

func (s *SFU) routes() http.Handler {
	routes := http.NewServeMux()
	handle := func(pattern string, answer func(*http.Request) (any, error)) {
		routes.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			reply(w, r, answer)
		})
	}
	handle("POST /whip/{party}", func(r *http.Request) (any, error) {
		offer, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		return s.publish(r.PathValue("party"), string(offer))
	})
	handle("POST /whep/{party}", func(r *http.Request) (any, error) {
		offer, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		return s.subscribe(r.PathValue("party"), r.FormValue("as"), r.FormValue("rid"), string(offer))
	})
	handle("POST /layer/{name}", func(r *http.Request) (any, error) {
		return "", s.eachOut(r.PathValue("name"), func(out *Out) { out.wish(r.FormValue("rid")) })
	})
	handle("POST /impair/{name}", func(r *http.Request) (any, error) {
		var impairment Impairment
		if err := json.NewDecoder(r.Body).Decode(&impairment); err != nil {
			return nil, err
		}
		return "", s.eachOut(r.PathValue("name"), func(out *Out) {
			if kind := r.FormValue("kind"); kind == "" || kind == out.kind() {
				out.impair(impairment)
			}
		})
	})
	handle("GET /stats/{name}", func(r *http.Request) (any, error) {
		stats := map[string]Stats{}
		err := s.eachOut(r.PathValue("name"), func(out *Out) { stats[out.kind()] = out.stats() })
		return stats, err
	})
	handle("DELETE /party/{name}", func(r *http.Request) (any, error) {
		return "", s.end(r.PathValue("name"))
	})
	return routes
}

// reply sends text as it is and everything else as JSON; an error is 500, with its words.
func reply(w http.ResponseWriter, r *http.Request, answer func(*http.Request) (any, error)) {
	content, err := answer(r)
	if err != nil {
		log.Printf("%s %s: %v", r.Method, r.URL, err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if text, is := content.(string); is {
		fmt.Fprint(w, text)
		return
	}
	if err := json.NewEncoder(w).Encode(content); err != nil {
		log.Printf("%s %s: %v", r.Method, r.URL, err)
	}
}
